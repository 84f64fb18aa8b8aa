"""The style of all figures."""

import os
import re
import subprocess
import sys
from itertools import combinations

import matplotlib
import numpy as np
import pytest
from tools import full_disk

from diffattn.attention.scores import REGISTRY, get_score
from diffattn.figures import (
    COLORS,
    NEW_COLORS,
    OTHER,
    color,
    new_figure,
    plot_weights,
    save_figure,
)
from diffattn.names import MODEL_TYPES

#: From linear RGB to what an eye sees, also in linear RGB (Machado, Oliveira and
#: Fernandes 2009, severity 1).
EYES = {
    "normal": np.eye(3),
    "protanopia": [
        [0.152286, 1.052583, -0.204868],
        [0.114503, 0.786281, 0.099216],
        [-0.003882, -0.048116, 1.051998],
    ],
    "deuteranopia": [
        [0.367322, 0.860646, -0.227968],
        [0.280085, 0.672501, 0.047413],
        [-0.011820, 0.042940, 0.968881],
    ],
    "tritanopia": [
        [1.255528, -0.076749, -0.178779],
        [-0.078411, 0.930809, 0.147602],
        [0.004733, 0.691367, 0.303900],
    ],
}


def lab(name, eye):
    """Convert "#RRGGBB" to CIELAB, in which a distance of 2 is just visible."""
    rgb = np.array([int(name[n : n + 2], 16) for n in (1, 3, 5)]) / 255
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    seen = np.clip(np.asarray(EYES[eye]) @ linear, 0, 1)
    to_xyz = [[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722]]
    to_xyz.append([0.0193, 0.1192, 0.9505])
    xyz = np.array(to_xyz) @ seen / [0.9505, 1, 1.089]
    f = np.where(xyz > 0.008856, np.cbrt(xyz), 7.787 * xyz + 16 / 116)
    return np.array([116 * f[1] - 16, 500 * (f[0] - f[1]), 200 * (f[1] - f[2])])


@pytest.mark.parametrize("eye", EYES)
def test_new_colours_differ_visibly_from_all_others(eye):
    old = [*COLORS.values(), OTHER, "#FFFFFF"]
    pairs = [(new, other) for new in NEW_COLORS for other in old]
    for a, b in [*pairs, *combinations(NEW_COLORS, 2)]:
        assert np.linalg.norm(lab(a, eye) - lab(b, eye)) > 12, (a, b)


def register(monkeypatch, *names):
    for name in names:
        monkeypatch.setitem(REGISTRY, name, get_score("l1_norm"))


def test_the_books_models_keep_their_colours(monkeypatch):
    assert COLORS.keys() == {*MODEL_TYPES}
    register(monkeypatch, "a_new_score")
    assert {name: color(name) for name in COLORS} == COLORS


def test_a_new_score_has_a_colour_of_its_own(monkeypatch):
    assert color("a_new_score") == OTHER
    names = [f"new_{n}" for n in range(30)]
    register(monkeypatch, *names)
    colors = [color(name) for name in names]
    assert colors == [color(name) for name in names]
    assert len({*colors, *COLORS.values(), OTHER}) == 30 + len(COLORS) + 1
    assert all(re.fullmatch("#[0-9A-Fa-f]{6}", one) for one in colors)
    # Another score changes none of the earlier colours.
    register(monkeypatch, "another")
    assert colors == [color(name) for name in names]


def test_a_score_has_its_colour_whatever_its_options():
    assert color("differentialSum(lag=2)") == COLORS["differentialSum"]


def test_anything_that_is_not_a_score_is_gray():
    assert color("torch cdist p=1") == OTHER == "#888888"


def test_colours_do_not_load_keras():
    program = (
        "import sys; from diffattn.figures import color; "
        "print(color('torch cdist'), 'keras' in sys.modules)"
    )
    run = [sys.executable, "-c", program]
    answer = subprocess.run(run, capture_output=True, text=True, check=True)
    assert answer.stdout.split() == [OTHER, "False"]


def test_a_figure_is_opaque_and_has_no_top_spine(tmp_path):
    figure, (left, right) = new_figure(4, 3, 2)
    assert figure.get_facecolor() == (1, 1, 1, 1)
    for axes in (left, right):
        assert not axes.spines["top"].get_visible()
        assert axes.spines["bottom"].get_visible()
    save_figure(figure, tmp_path / "figure.png", dpi=100)
    header = (tmp_path / "figure.png").read_bytes()[:24]
    assert header.startswith(b"\x89PNG")
    width, height = np.frombuffer(header[16:], ">u4")
    assert (width, height) == (400, 300)


def test_weights_have_a_row_for_each_query_and_one_colour_scale():
    words = ["not", "good"]
    weights = np.array([[[0.25, 0.75], [1.0, 0.0]], [[0.5, 0.5], [0.5, 0.5]]])
    figure = plot_weights(words, weights)
    *panels, bar = figure.axes
    assert [axes.get_title() for axes in panels] == ["head 0", "head 1"]
    for axes, table in zip(panels, weights, strict=True):
        np.testing.assert_array_equal(axes.images[0].get_array(), table)
        assert axes.images[0].get_clim() == (0, 1)
    assert [text.get_text() for text in panels[0].get_yticklabels()] == words
    assert panels[0].get_ylabel() == "query"
    assert bar.get_ylabel() == "weight"


# Every plotting function, and a figure made by hand as in the chapters.
DRAW = """
import io, sys
from pathlib import Path
import matplotlib
import numpy as np
import pandas as pd
from diffattn.costs import Rounds, plot_costs, plot_growth
from diffattn.figures import new_figure, plot_weights, save_figure
from diffattn.studies.figures import plot_accuracies, plot_matrix, plot_seeds
from diffattn.training.curves import plot_history

growth = {
    "x": np.array([1.0, 2.0, 4.0]),
    **dict.fromkeys(("seconds", "memory"), [Rounds.of([n, n + 1]) for n in (1, 2, 4)]),
}
names = ["none", "differential"]
runs = pd.DataFrame(
    {
        "label": 3 * names,
        "attention_type": 3 * names,
        "test_loss": np.linspace(0.2, 0.7, 6),
        "test_accuracy": np.linspace(0.5, 1.0, 6),
    }
)
means = pd.DataFrame([[0.5, 0.6], [0.9, np.nan]], index=names, columns=["a, b", "c"])
history = dict.fromkeys(("loss", "val_loss", "accuracy", "val_accuracy"), [0.7, 0.6])
by_hand, axes = new_figure(4, 3)
axes.set(xlabel="x")
figures = {
    "accuracies": plot_accuracies(runs, 0.8),
    "history": plot_history(history, "differential", 1),
    "costs": plot_costs(dict.fromkeys(names, (Rounds(2, 1, 3, 3),) * 2), "none"),
    "growth": plot_growth(dict.fromkeys(names, growth), "tokens"),
    "seeds": plot_seeds(runs, bands={"test_loss": (0.4, 0.8)}),
    "matrix": plot_matrix(means, "accuracy", 0.5, 1.0),
    "weights": plot_weights(["a", "b"], np.eye(2)[None]),
    "by hand": by_hand,
}
for name, figure in figures.items():
    save_figure(figure, Path(sys.argv[1], f"{name}.png"))
    # As a notebook displays it.
    displayed = io.BytesIO()
    figure.canvas.print_figure(
        displayed,
        format="png",
        dpi=figure.dpi,
        bbox_inches="tight",
        facecolor=figure.get_facecolor(),
    )
    Path(sys.argv[1], f"{name} displayed.png").write_bytes(displayed.getvalue())
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


@pytest.mark.slow
def test_figures_do_not_depend_on_the_users_settings(draw):
    plain, hostile = draw(""), draw(HOSTILE)
    assert len(plain) == 16
    assert [name for name in plain if plain[name] != hostile[name]] == []


def test_the_users_style_is_left_alone():
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


def test_a_full_disk_leaves_the_picture_that_was_there(tmp_path):
    figure, _ = new_figure(2, 2)
    save_figure(figure, tmp_path / "a.png")
    before = (tmp_path / "a.png").read_bytes()
    with full_disk(100), pytest.raises(OSError, match="large"):
        save_figure(figure, tmp_path / "a.png")
    assert {path: path.read_bytes() for path in tmp_path.iterdir()} == {
        tmp_path / "a.png": before
    }
