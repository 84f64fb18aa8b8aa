import re

import numpy as np
import pytest
from scipy import stats
from stored_results import store

from diffattn.names import METRICS
from diffattn.studies.grid import grid
from diffattn.studies.published import (
    PUBLISHED,
    STUDY,
    published_frame,
    table_of_published,
)
from diffattn.studies.report import report
from diffattn.studies.results import read_results

#: One published row, which the stored runs repeat with a little noise.
ROW = dict(zip(METRICS, PUBLISHED["l2_norm"], strict=True))


def near_the_row(config):
    noise = 2e-4 * (config.seed % 2 - 0.5)
    return {metric: figure + noise for metric, figure in ROW.items()}


def test_the_frame_has_the_pages_columns():
    frame = published_frame()
    assert tuple(frame.columns) == METRICS
    assert frame.index.tolist() == list(PUBLISHED)
    assert frame.loc["l1_norm", "test_accuracy"] == 0.8737


def test_published_figures_inside_and_outside(tmp_path):
    """The baseline's runs lie close to one published row."""
    runs = store(tmp_path / "baseline", grid(["none"], 20), near_the_row)
    table = table_of_published("Published", runs)
    cells = {row[0]: row[1:] for row in table.rows}
    assert all("inside" in cell for cell in cells["l2_norm, as published"])
    assert cells["scaled_dot_product, as published"][3] == "0.8728 OUTSIDE"
    inside = sum("inside" in cell for row in table.rows for cell in row)
    assert table.notes[1] == f"{inside} of the 24 published figures lie inside."
    (needed,) = (int(re.search(r"takes (\d+) seeds", n)[1]) for n in table.notes[-1:])
    # For large n, n = 2 (z₁ + z₂)² σ² / δ²; here a little more.
    values = [near_the_row(config)["test_accuracy"] for config in grid(["none"], 20)]
    deviation = np.std(values, ddof=1)
    approximation = 2 * 2.8**2 * deviation**2 / 0.001**2
    assert approximation < needed < approximation + 4
    # With the bound of five comparisons, z at 1 − 0.05 / 10.
    (more,) = (int(re.search(r"\((\d+) when", n)[1]) for n in table.notes[-1:])
    approximation = 2 * (2.576 + 0.842) ** 2 * deviation**2 / 0.001**2
    assert approximation < more < approximation + 5


def test_each_figure_is_compared_with_both_bounds(tmp_path):
    """Some lie below and some above: the interval is computed here from the runs."""
    configs = grid(["none"], 20)
    runs = store(tmp_path / "baseline", configs, near_the_row)
    rows = table_of_published("Published", runs).rows
    shown = {row[0].removesuffix(", as published"): row[1:] for row in rows[1:]}
    t = stats.t.ppf(0.975, 19) * np.sqrt(1 + 1 / 20)
    sides = set()
    for column, metric in enumerate(METRICS):
        values = [near_the_row(config)[metric] for config in configs]
        half = t * np.std(values, ddof=1)
        for name, figures in PUBLISHED.items():
            distance = figures[column] - np.mean(values)
            sides.add("inside" if abs(distance) <= half else np.sign(distance))
            word = "inside" if abs(distance) <= half else "OUTSIDE"
            assert shown[name][column] == f"{figures[column]:.4f} {word}"
    assert sides == {"inside", -1, 1}


def test_the_seeds_needed_are_those_for_two_runs_that_share_nothing(tmp_path):
    """The difference of two runs has twice the variance of one; the power is exact."""
    configs = grid(["none"], 20)

    def noisy(config):
        return 0.87 + 0.001 * (config.seed % 5 - 2)

    runs = store(tmp_path / "baseline", configs, noisy)
    (note,) = [
        note
        for note in table_of_published("Published", runs).notes
        if "in test accuracy" in note
    ]
    variance = 2 * np.var([noisy(config) for config in configs], ddof=1)
    difference = np.ptp(
        [row[METRICS.index("test_accuracy")] for row in PUBLISHED.values()]
    )

    def power(count, comparisons):
        bound = stats.f.isf(0.05 / comparisons, 1, count - 1)
        return stats.ncf.sf(bound, 1, count - 1, count * difference**2 / variance)

    for pattern, comparisons in ((r"takes (\d+) seeds", 1), (r"\((\d+) when", 5)):
        count = int(re.search(pattern, note)[1])
        assert count > 20
        assert power(count - 1, comparisons) < 0.8 <= power(count, comparisons)


@pytest.mark.parametrize(
    "runs", [[0.87], ["MemoryError: "] * 3, [0.87, "MemoryError: "]]
)
def test_a_study_of_one_run_has_no_spread_to_report(tmp_path, runs):
    folder = tmp_path / "published" / "split-0.2"
    store(folder, grid(["none"], len(runs)), lambda config: runs[config.seed])
    (table,) = report(read_results(tmp_path))
    assert table.rows[0][-1].startswith(str(len(runs)))


def test_equal_runs_report_no_resolution(tmp_path):
    store(tmp_path / "published" / "split-0.2", grid(["none"], 3), lambda _: 0.87)
    *_, table = report(read_results(tmp_path))
    assert table.notes[-1].endswith("published figures lie inside.")


def test_the_figure_shows_the_published_values_and_the_band(tmp_path):
    for split in ("0.2", "0.5"):
        folder = tmp_path / "published" / f"split-{split}"
        store(folder, grid(["none"], 4), near_the_row)
    figures = STUDY.figures(read_results(tmp_path))
    assert sorted(figures) == ["published", "published/split-0.5"]
    left, axes = figures["published"].axes
    names = [text.get_text() for text in left.get_yticklabels()]
    assert names == ["none", *(f"{name} (published)" for name in PUBLISHED)][::-1]
    dots = dict(zip(names, axes.collections, strict=True))
    for name, row in PUBLISHED.items():
        (x,) = dots[f"{name} (published)"].get_offsets()[:, 0]
        assert x == row[METRICS.index("test_accuracy")]
    values = [near_the_row(config)["test_accuracy"] for config in grid(["none"], 4)]
    t = stats.t.ppf(0.975, 3)
    half = t * np.std(values, ddof=1) * np.sqrt(1 + 1 / 4)
    (band,) = axes.patches
    low, high = axes.transData.inverted().transform(band.get_extents())[:, 0]
    assert (low, high) == pytest.approx(
        (np.mean(values) - half, np.mean(values) + half)
    )
