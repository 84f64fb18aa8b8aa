"""Figures that commands and chapters share.

They look the same whatever the user's ``matplotlibrc`` says: each is made and drawn
with Matplotlib's own defaults.
"""

import io
from functools import wraps
from pathlib import Path

import numpy as np
from matplotlib import rc_context, rcParamsDefault
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from diffattn.costs import Ratio
from diffattn.uncertainty import estimate

#: One colour an attention type throughout: the palette of Okabe and Ito, which
#: the colour-blind can tell apart.
COLORS = {
    "none": "#555555",
    "scaled_dot_product": "#0072B2",
    "cosine_similarity": "#56B4E9",
    "l1_norm": "#009E73",
    "l2_norm": "#CC79A7",
    "differentialSum": "#E69F00",
    "differential": "#D55E00",
}

#: What is none of these: a peer, or a new score that has no colour of its own yet.
OTHER = "#888888"

#: All settings but the backend, which is how a figure gets onto a screen.
_DEFAULTS = {
    name: value for name, value in rcParamsDefault.items() if name != "backend"
}


def _with_defaults(function):
    """Decorate a function so that Matplotlib's defaults hold while it runs."""

    @wraps(function)
    def with_defaults(*args, **kwargs):
        with rc_context(_DEFAULTS):
            return function(*args, **kwargs)

    return with_defaults


class _Figure(Figure):
    """A figure that is drawn with the defaults too: fonts are looked up only then."""

    draw = _with_defaults(Figure.draw)
    get_tightbbox = _with_defaults(Figure.get_tightbbox)
    savefig = _with_defaults(Figure.savefig)


@_with_defaults
def save_figure(figure: Figure, path: Path, dpi: int = 160) -> None:
    """Save a figure as a PNG file, whole or not at all.

    Args:
        figure: the figure.
        path: the file's.
        dpi: dots per inch.
    """
    png = io.BytesIO()
    figure.savefig(png, dpi=dpi, format="png")
    path.write_bytes(png.getvalue())


def _color(name):
    return COLORS.get(name, OTHER)


def _place(name):
    """Of the types in a figure: that of their colour, and the new ones behind."""
    return [*COLORS, name].index(name)


@_with_defaults
def new_figure(
    width: float, height: float, columns: int = 1, **how
) -> tuple[Figure, Axes]:
    """A figure in the style of all others: on white, in dark mode too, open above.

    Args:
        width, height: in inches.
        columns: int, number of panels side by side.
        **how: for `Figure.subplots`, as ``sharey``.

    Returns:
        (figure, axes): a `matplotlib.figure.Figure`, and its `Axes` or, with more than
        one column, a NumPy array of them.
    """
    figure = _Figure(figsize=(width, height), layout="constrained", facecolor="white")
    with rc_context({"axes.spines.top": False, "axes.spines.right": False}):
        return figure, figure.subplots(1, columns, **how)


@_with_defaults
def plot_accuracies(accuracies: dict[str, list[float]], ceiling: float) -> Figure:
    """Accuracies by attention type, under the ceiling for models blind to order.

    Args:
        accuracies: dict from attention type to a list of accuracies in [0, 1],
            one a seed.
        ceiling: the ceiling, in [0, 1].

    Returns:
        A `matplotlib.figure.Figure` with an opaque ground.
    """
    figure, axes = new_figure(8, 3.6)
    names = sorted(accuracies, key=_place, reverse=True)
    for row, name in enumerate(names):
        values = accuracies[name]
        axes.plot([0.5, max(values)], [row, row], color="#dddddd", zorder=1)
        axes.scatter(values, [row] * len(values), s=60, color=_color(name), zorder=3)
    axes.axvline(ceiling, color="#333333", linestyle="--", linewidth=1, zorder=2)
    axes.annotate(
        "ceiling for what\nis blind to order",
        (ceiling, len(names) - 1.3),
        xytext=(6, 0),
        textcoords="offset points",
        color="#333333",
        va="center",
    )
    labels = ["none (baseline)" if name == "none" else name for name in names]
    axes.set_yticks(range(len(names)), labels)
    axes.set(xlim=(0.5, 1.02), xlabel="test accuracy")
    axes.spines["left"].set_visible(False)
    axes.tick_params(axis="y", length=0)
    return figure


@_with_defaults
def plot_history(
    history: dict[str, list[float]], attention_type: str, kept_epoch: int
) -> Figure:
    """Learning curves: loss and accuracy over the epochs.

    Args:
        history: dict with ``loss``, ``val_loss``, ``accuracy`` and
            ``val_accuracy``, one number an epoch.
        attention_type: decides the colour.
        kept_epoch: int, counted from 1: whose weights the model has.

    Returns:
        A `matplotlib.figure.Figure` with an opaque ground.
    """
    figure, panels = new_figure(8, 3.2, 2)
    epochs = range(1, len(history["loss"]) + 1)
    color = _color(attention_type)
    labels = {"loss": "binary cross-entropy", "accuracy": "accuracy"}
    for axes, (metric, label) in zip(panels, labels.items(), strict=True):
        axes.plot(epochs, history[metric], "o--", color=color, mfc="white")
        axes.plot(epochs, history[f"val_{metric}"], "o-", color=color)
        axes.axvline(kept_epoch, color="#333333", linestyle=":", zorder=0)
        axes.set(xlabel="epoch", ylabel=label)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.legend(["training", "validation", "kept"], frameon=False)
    figure.suptitle(f"attention type: {attention_type}")
    return figure


@_with_defaults
def plot_costs(ratios: dict[str, tuple[Ratio, Ratio]], unit: str) -> Figure:
    """Time and memory of a training step, as multiples of one of them.

    Args:
        ratios: dict from a case to its time and its memory
            (`diffattn.costs.Ratio`), those of `unit` being 1. A dot is the median,
            a line goes from the smallest to the largest; a ratio of 0, which a
            logarithmic axis has no place for, is left out.
        unit: the name of the case that the others are compared with.

    Returns:
        A `matplotlib.figure.Figure` with an opaque ground.
    """
    names = list(ratios)[::-1]
    figure, panels = new_figure(8, 4, 2, sharey=True)
    for axes, label, column in zip(
        panels, ("time", "memory"), zip(*ratios.values(), strict=True), strict=True
    ):
        for row, (name, found) in enumerate(zip(names, column[::-1], strict=True)):
            if found.low <= 0:
                continue
            color = _color(name)
            axes.plot([found.low, found.high], [row, row], color=color, linewidth=3)
            axes.plot(found.median, row, "o", color=color)
            axes.annotate(
                f"{found.median:.2f}",
                (found.high, row),
                (8, 0),
                textcoords="offset points",
                va="center",
                bbox={"facecolor": "white", "edgecolor": "none", "pad": 1},
            )
        axes.axvline(1, color="#333333", linestyle="--", linewidth=1, zorder=0)
        axes.set_xscale("log")
        axes.margins(x=0.25)
        axes.set_xlabel(f"{label}, {unit} = 1")
        axes.set_yticks(range(len(names)), names)
        axes.spines["left"].set_visible(False)
        axes.tick_params(axis="y", length=0)
    return figure


@_with_defaults
def plot_growth(curves: dict[str, dict], label: str) -> Figure:
    """How time and memory of a training step grow, on logarithmic axes.

    Args:
        curves: dict from a case to what `diffattn.costs.growth` found.
        label: of the axis along which they grow.

    Returns:
        A `matplotlib.figure.Figure` with an opaque ground.
    """
    figure, panels = new_figure(8, 4, 2)
    for axes, key, unit in zip(
        panels, ("seconds", "memory"), ("seconds a step", "GB a step"), strict=True
    ):
        for name, found in curves.items():
            values = found[key] / (1e9 if key == "memory" else 1)
            known = name in COLORS
            axes.loglog(
                found["x"],
                values,
                marker="o",
                markersize=4,
                color=_color(name),
                linestyle="-" if known else "--",
                label=name,
            )
        x = next(iter(curves.values()))["x"]
        axes.set_xticks(x, [f"{value:.0f}" for value in x])
        axes.minorticks_off()
        axes.set(xlabel=label, ylabel=unit)
    figure.legend(
        *panels[0].get_legend_handles_labels(), loc="outside right", frameon=False
    )
    return figure


@_with_defaults
def plot_seeds(
    panels: dict[str, dict[str, list[float]]],
    bands: dict[str, tuple[float, float]] | None = None,
) -> Figure:
    """Each seed's value as a dot, with mean and interval, by what was trained.

    Args:
        panels: dict from an axis's label to a dict from a row's name, whose first
            word is an attention type, to the values, one a seed.
        bands: dict from an axis's label to the bounds of a range to be shaded.

    Returns:
        A `matplotlib.figure.Figure` with an opaque ground.
    """
    names = list(next(iter(panels.values())))[::-1]
    figure, all_axes = new_figure(
        8, 1.3 + 0.4 * len(names), len(panels), squeeze=False, sharey=True
    )
    for axes, (label, values) in zip(all_axes[0], panels.items(), strict=True):
        if label in (bands or {}):
            axes.axvspan(*bands[label], color="#eeeeee", zorder=0)
        for row, name in enumerate(names):
            color = _color(name.split()[0])
            found = estimate(values[name])
            axes.scatter(
                values[name], [row] * found.count, s=25, color=color, alpha=0.5
            )
            axes.plot(
                [found.low, found.high],
                [row, row],
                color=color,
                linewidth=5,
                alpha=0.35,
                solid_capstyle="butt",
            )
            if found.count > 1:
                axes.plot(found.mean, row, "|", color="black", markersize=14)
        axes.set_yticks(range(len(names)), names)
        axes.set(xlabel=label, ylim=(-0.6, len(names) - 0.4))
        axes.locator_params(axis="x", nbins=4)  # four digits are wide
        axes.spines["left"].set_visible(False)
        axes.tick_params(axis="y", length=0)
    return figure


@_with_defaults
def plot_matrix(
    columns: dict[str, dict[str, list[float]]], label: str, low: float, high: float
) -> Figure:
    """Means as coloured cells with their figures, a row a type, a column a task.

    Args:
        columns: dict from a column's name to a dict from attention type (or
            `Config.label`) to the values, one a seed.
        label: what the values are.
        low, high: the ends of the colours.

    Returns:
        A `matplotlib.figure.Figure` with an opaque ground.
    """
    names = list(dict.fromkeys(name for of in columns.values() for name in of))
    means = np.array(
        [[estimate(of.get(name, [])).mean for of in columns.values()] for name in names]
    )  # NaN for what was not run
    figure, axes = new_figure(3.4 + 0.85 * len(columns), 1 + 0.42 * len(names))
    image = axes.imshow(means, cmap="cividis", vmin=low, vmax=high, aspect="auto")
    for (row, column), mean in np.ndenumerate(means):
        dark = mean < (low + high) / 2
        axes.text(
            column,
            row,
            "–" if np.isnan(mean) else f"{mean:.2f}",
            ha="center",
            va="center",
            color="white" if dark else "black",
        )
    axes.set_yticks(range(len(names)), names)
    ticks = [name.replace(", ", ",\n") for name in columns]
    axes.set_xticks(range(len(columns)), ticks)
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    figure.colorbar(image, label=label)
    return figure


@_with_defaults
def plot_weights(
    words: list[str], weights: np.ndarray, titles: list[str] | None = None
) -> Figure:
    """Attention weights as coloured tables, side by side.

    Args:
        words: the T words.
        weights: array of shape (N, T, T), one table each; row i is what word i
            attends to.
        titles: the N tables' titles; "head 0" and so on by default.

    Returns:
        A `matplotlib.figure.Figure` with an opaque ground.
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
