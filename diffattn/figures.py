"""The common style of all figures, and the plot of attention weights.

Other plots live beside what they show: learning curves in `diffattn.training.curves`,
costs in `diffattn.costs`, many runs in `diffattn.studies.figures`. They do not depend
on the user's ``matplotlibrc``, because each is made and drawn with Matplotlib's own
defaults.
"""

import io
import sys
from collections.abc import Callable, Sequence
from colorsys import hsv_to_rgb
from functools import wraps
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib import rc_context, rcParamsDefault
from matplotlib.colors import to_hex
from matplotlib.figure import Figure

from diffattn.files import write_bytes

#: One colour for each of the six scores and the baseline: the palette of Okabe and Ito,
#: which colour-blind readers can tell apart.
COLORS = {
    "none": "#555555",
    "scaled_dot_product": "#0072B2",
    "cosine_similarity": "#56B4E9",
    "l1_norm": "#009E73",
    "l2_norm": "#CC79A7",
    "differentialSum": "#E69F00",
    "differential": "#D55E00",
}

#: The colours of new scores, in the order of registration: Paul Tol's, which
#: colour-blind readers can tell from those above and from each other.
NEW_COLORS = ("#332288", "#661100", "#DDCC77", "#000000", "#FFAABB", "#117733")

#: The colour of anything that is not a score, such as another package's layer.
OTHER = "#888888"


def color(name: str) -> str:
    """Return the colour that a score has in every figure.

    Args:
        name: an attention type, with options or without, "none" or anything else.

    Returns:
        "#RRGGBB": from `COLORS`, or a colour of its own for a new registered score;
        `OTHER` for anything that is not a score.
    """
    name = name.split("(")[0]
    if name in COLORS:
        return COLORS[name]
    new = [score for score in _registered_scores() if score not in COLORS]
    if name not in new:
        return OTHER
    place = new.index(name)
    if place < len(NEW_COLORS):
        return NEW_COLORS[place]
    # Steps of the golden ratio never repeat a hue, but nobody can tell so many apart.
    return to_hex(hsv_to_rgb(0.618034 * place % 1, 0.7, 0.6))


def _registered_scores():
    # A program that has not loaded the registry has registered no new score, so
    # drawing a stored result does not load Keras.
    scores = sys.modules.get("diffattn.attention.scores")
    return scores.REGISTRY if scores else ()


#: All settings except the backend, which only shows figures on a screen.
_DEFAULTS = {
    name: value for name, value in rcParamsDefault.items() if name != "backend"
}


def with_defaults(function: Callable) -> Callable:
    """Decorate a function so that Matplotlib's defaults hold while it runs."""

    @wraps(function)
    def call(*args, **kwargs):
        with rc_context(_DEFAULTS):
            return function(*args, **kwargs)

    return call


class _Figure(Figure):
    """A figure drawn with the defaults too: Matplotlib looks up fonts only then."""

    draw = with_defaults(Figure.draw)
    get_tightbbox = with_defaults(Figure.get_tightbbox)
    savefig = with_defaults(Figure.savefig)


@with_defaults
def new_figure(
    width: float, height: float, columns: int = 1, *, rows: int = 1, **options: Any
) -> tuple[Figure, Any]:
    """Make a figure in the common style: no top or right spine, on white.

    The background is opaque, so that the figure stays legible in dark mode.

    Args:
        width, height: in inches.
        columns, rows: numbers of panels side by side, and one above the other.
        **options: for `Figure.subplots`, such as ``sharey``.

    Returns:
        (figure, axes): a `matplotlib.figure.Figure`, and its `Axes` or, with more than
        one panel, a NumPy array of them.
    """
    figure = _Figure(figsize=(width, height), layout="constrained", facecolor="white")
    with rc_context({"axes.spines.top": False, "axes.spines.right": False}):
        return figure, figure.subplots(rows, columns, **options)


@with_defaults
def save_figure(figure: Figure, path: Path, dpi: int = 160) -> None:
    """Save a figure as a PNG file, whole or not at all.

    Args:
        figure: the figure.
        path: where to save it.
        dpi: dots per inch.
    """
    png = io.BytesIO()
    figure.savefig(png, dpi=dpi, format="png")
    write_bytes(path, png.getvalue())


@with_defaults
def plot_weights(
    words: Sequence[str],
    weights: np.ndarray,
    titles: Sequence[str] | None = None,
) -> Figure:
    """Plot attention weights as heat maps, side by side.

    Args:
        words: the T words.
        weights: array of shape (N, T, T), N heat maps; row i shows what word i
            attends to.
        titles: the N titles; "head 0" and so on by default.

    Returns:
        A `matplotlib.figure.Figure` with an opaque background.
    """
    count = len(weights)
    side = min(0.6 + 0.28 * len(words), 7.2 / count)
    size = 1.8 + side * count, 1.2 + side
    figure, all_axes = new_figure(*size, count, squeeze=False, sharey=True)
    panels = all_axes[0]
    titles = titles or [f"head {n}" for n in range(count)]
    for axes, table, title in zip(panels, weights, titles, strict=True):
        image = axes.imshow(table, cmap="cividis", vmin=0, vmax=np.max(weights))
        axes.set_title(title)
        axes.set_xticks(range(len(words)), words, rotation=90)
        axes.set_yticks(range(len(words)), words)
        axes.tick_params(length=0)
        axes.spines[:].set_visible(False)
    panels[0].set_ylabel("query")
    figure.supxlabel("key")
    figure.colorbar(image, ax=panels, label="weight")
    return figure
