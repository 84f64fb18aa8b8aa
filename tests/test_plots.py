import os
import subprocess
import sys

import matplotlib
import pytest

from diffattn.plots import new_figure, save_figure

# Each function that makes a figure, and a figure made by hand, as in the chapters.
DRAW = """
import io, sys
from pathlib import Path
import numpy as np
from diffattn import plots
from diffattn.costs import Ratio

growth = dict.fromkeys(("x", "seconds", "memory"), np.array([1.0, 2.0, 4.0]))
runs = {"none": [0.5, 0.6, 0.65], "differential": [0.9, 0.95, 0.99]}
history = dict.fromkeys(("loss", "val_loss", "accuracy", "val_accuracy"), [0.7, 0.6])
by_hand, axes = plots.new_figure(4, 3)
axes.set(xlabel="x")
figures = {
    "accuracies": plots.plot_accuracies(runs, 0.8),
    "history": plots.plot_history(history, "differential", 1),
    "costs": plots.plot_costs(dict.fromkeys(runs, (Ratio(2, 1, 3, 3),) * 2), "none"),
    "growth": plots.plot_growth(dict.fromkeys(runs, growth), "tokens"),
    "seeds": plots.plot_seeds({"loss": runs}, {"loss": (0.4, 0.8)}),
    "matrix": plots.plot_matrix({"order, far": runs}, "accuracy", 0.5, 1.0),
    "weights": plots.plot_weights(["a", "b"], np.eye(2)[None]),
    "by hand": by_hand,
}
assert sum(name.startswith("plot_") for name in dir(plots)) == len(figures) - 1
for name, figure in figures.items():
    plots.save_figure(figure, Path(sys.argv[1], f"{name}.png"))
    # As a notebook shows it.
    shown = io.BytesIO()
    figure.canvas.print_figure(
        shown,
        format="png",
        dpi=figure.dpi,
        bbox_inches="tight",
        facecolor=figure.get_facecolor(),
    )
    Path(sys.argv[1], f"{name} shown.png").write_bytes(shown.getvalue())
"""

HOSTILE = """
text.usetex: True
text.color: white
font.family: monospace
font.size: 30
axes.facecolor: black
axes.labelcolor: white
axes.edgecolor: white
axes.grid: True
axes.prop_cycle: cycler("color", ["white"])
axes.formatter.use_locale: True
axes.unicode_minus: False
xtick.color: white
ytick.color: white
lines.linewidth: 9
legend.frameon: True
image.cmap: gray
image.interpolation: bilinear
figure.facecolor: black
figure.dpi: 20
figure.constrained_layout.use: False
figure.constrained_layout.w_pad: 1
figure.autolayout: True
savefig.dpi: 20
savefig.transparent: True
savefig.facecolor: black
savefig.format: pdf
savefig.bbox: tight
path.sketch: 5, 50, 5
backend: TkAgg
interactive: True
"""


@pytest.fixture
def draw(tmp_path):
    """Draw all figures in a new process, under a matplotlibrc."""

    def draw(settings):
        folder = tmp_path / str(len(list(tmp_path.iterdir())))
        folder.mkdir()
        (folder / "matplotlibrc").write_text(settings)
        environment = {**os.environ, "MATPLOTLIBRC": str(folder / "matplotlibrc")}
        environment.pop("MPLBACKEND", None)
        command = [sys.executable, "-c", DRAW, folder]
        subprocess.run(command, env=environment, check=True)
        return {path.name: path.read_bytes() for path in folder.glob("*.png")}

    return draw


def test_figures_do_not_depend_on_the_users_settings(draw):
    usual, hostile = draw(""), draw(HOSTILE)
    assert len(usual) == 16
    assert [name for name in usual if usual[name] != hostile[name]] == []


def test_a_style_in_use_stays_as_it_is():
    with matplotlib.rc_context({"font.size": 3}):
        _, axes = new_figure(2, 2)
        assert matplotlib.rcParams["font.size"] == 3
    assert axes.xaxis.label.get_size() == matplotlib.rcParamsDefault["font.size"]


def test_a_figure_that_cannot_be_drawn_leaves_no_file(tmp_path):
    figure, axes = new_figure(2, 2)
    axes.set_xlabel("$no such \\sign$")
    with pytest.raises(ValueError, match="sign"):
        save_figure(figure, tmp_path / "a.png")
    assert list(tmp_path.iterdir()) == []
