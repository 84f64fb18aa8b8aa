"""Read what a figure shows from Matplotlib's own objects."""

import numpy as np
import pandas as pd
import pytest
from matplotlib.colors import to_rgb
from scipy import stats
from stored_results import accuracy, store

from diffattn.figures import COLORS
from diffattn.names import MODEL_TYPES
from diffattn.studies.figures import plot_matrix, plot_seeds
from diffattn.studies.grid import grid


def ticks(axis):
    return [text.get_text() for text in axis.get_ticklabels()]


def test_each_seed_is_a_dot_in_the_row_and_colour_of_its_model(tmp_path):
    runs = store(tmp_path, grid(MODEL_TYPES, 3), accuracy)
    figure = plot_seeds(runs, ("test_accuracy",))
    (axes,) = figure.axes
    assert axes.get_xlabel() == "test accuracy"
    assert ticks(axes.yaxis) == [*MODEL_TYPES][::-1]
    for row, (name, dots) in enumerate(
        zip(reversed(MODEL_TYPES), axes.collections, strict=True)
    ):
        expected = [accuracy(config) for config in grid([name], 3)]
        np.testing.assert_allclose(dots.get_offsets()[:, 0], expected)
        assert set(dots.get_offsets()[:, 1]) == {row}
        assert tuple(dots.get_facecolor()[0][:3]) == to_rgb(COLORS[name])
        interval = stats.ttest_1samp(expected, 0).confidence_interval()
        bar, mean = axes.lines[2 * row : 2 * row + 2]
        np.testing.assert_allclose(bar.get_xdata(), interval)
        np.testing.assert_allclose(mean.get_xdata(), np.mean(expected))


def test_a_failed_run_has_no_dot_and_a_single_run_no_interval(tmp_path):
    def metrics(config):
        return "MemoryError: " if config.seed else 0.5

    runs = store(tmp_path, grid(["none"], 2), metrics)
    (axes,) = plot_seeds(runs, ("test_loss",)).axes
    (dots,) = axes.collections
    assert dots.get_offsets().tolist() == [[0.5, 0]]
    (bar,) = axes.lines
    assert np.isnan(bar.get_xdata()).all()


def test_a_band_is_shaded_in_its_own_panel(tmp_path):
    runs = store(tmp_path, grid(["none"], 2), accuracy)
    loss, right = plot_seeds(runs, bands={"test_accuracy": (0.4, 0.6)}).axes
    assert len(loss.patches) == 0
    (band,) = right.patches
    assert band.get_extents().width == pytest.approx(
        right.transData.transform((0.6, 0))[0] - right.transData.transform((0.4, 0))[0]
    )


def test_a_matrix_shows_its_frame():
    means = pd.DataFrame(
        [[0.5, 0.75], [1.0, np.nan]],
        index=["none", "differential"],
        columns=["24 tokens, 1 apart", "70 tokens, 1 apart"],
    )
    axes, bar = plot_matrix(means, "accuracy", 0.5, 1.0).axes
    assert bar.get_ylabel() == "accuracy"
    assert ticks(axes.yaxis) == ["none", "differential"]
    assert ticks(axes.xaxis) == ["24 tokens,\n1 apart", "70 tokens,\n1 apart"]
    cells = {text.get_position(): text.get_text() for text in axes.texts}
    assert cells == {(0, 0): "0.50", (1, 0): "0.75", (0, 1): "1.00", (1, 1): "–"}
    np.testing.assert_array_equal(axes.images[0].get_array(), means)
