import numpy as np
from matplotlib.colors import to_hex

from diffattn.attention.scores import REGISTRY, get_score
from diffattn.figures import COLORS, OTHER
from diffattn.training.curves import plot_history

HISTORY = {
    "loss": [0.7, 0.5, 0.4],
    "val_loss": [0.6, 0.55, 0.58],
    "accuracy": [0.5, 0.7, 0.8],
    "val_accuracy": [0.6, 0.71, 0.7],
}


def test_every_epoch_is_a_point_and_the_chosen_one_is_marked():
    figure = plot_history(HISTORY, "l1_norm", kept_epoch=2)
    for axes, metric in zip(figure.axes, ("loss", "accuracy"), strict=True):
        training, validation, chosen = axes.lines
        np.testing.assert_array_equal(training.get_xydata()[:, 0], [1, 2, 3])
        np.testing.assert_array_equal(training.get_ydata(), HISTORY[metric])
        np.testing.assert_array_equal(validation.get_ydata(), HISTORY[f"val_{metric}"])
        assert chosen.get_xdata() == [2, 2]
        assert to_hex(validation.get_color()).upper() == COLORS["l1_norm"]


def test_a_new_score_has_learning_curves(monkeypatch):
    monkeypatch.setitem(REGISTRY, "a_new_score", get_score("l1_norm"))
    figure = plot_history(HISTORY, "a_new_score", kept_epoch=1)
    assert figure.get_suptitle() == "attention type: a_new_score"
    shade = to_hex(figure.axes[0].lines[0].get_color()).upper()
    assert shade not in {*COLORS.values(), OTHER}
