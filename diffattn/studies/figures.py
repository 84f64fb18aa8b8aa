"""Plot many runs: a dot for each seed, or a matrix of means."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from diffattn.figures import COLORS, color, new_figure, with_defaults
from diffattn.names import BASELINE
from diffattn.studies.formatting import make_title
from diffattn.studies.summaries import TEST_METRICS
from diffattn.studies.uncertainty import estimate

if TYPE_CHECKING:
    from diffattn.studies.statistics import PowerLaw


@with_defaults
def plot_seeds(
    runs: pd.DataFrame,
    metrics: Sequence[str] = TEST_METRICS,
    bands: Mapping[str, tuple[float, float]] | None = None,
) -> Figure:
    """Plot each seed's value as a dot, with mean and interval, a row for each label.

    Args:
        runs: of one grid, as `diffattn.studies.results.read_results` returns them; the
            columns ``label``, ``attention_type`` and the metrics are enough.
        metrics: names of columns, one for each panel.
        bands: dict from a metric to the bounds of a range to shade.

    Returns:
        A `matplotlib.figure.Figure` with an opaque background.
    """
    bands = bands or {}
    models = list(runs.groupby("label", sort=False))[::-1]
    figure, all_axes = new_figure(
        8, 1.3 + 0.4 * len(models), len(metrics), squeeze=False, sharey=True
    )
    for axes, metric in zip(all_axes[0], metrics, strict=True):
        if metric in bands:
            axes.axvspan(*bands[metric], color="#eeeeee", zorder=0)
        for row, (_, group) in enumerate(models):
            shade = color(group["attention_type"].iloc[0])
            values = group[metric].dropna()
            mean = estimate(values)
            axes.scatter(values, [row] * mean.count, s=25, color=shade, alpha=0.5)
            axes.plot(
                [mean.low, mean.high],
                [row, row],
                color=shade,
                linewidth=5,
                alpha=0.35,
                solid_capstyle="butt",
            )
            if mean.count > 1:
                axes.plot(mean.mean, row, "|", color="black", markersize=14)
        axes.set_yticks(range(len(models)), [label for label, _ in models])
        axes.set(xlabel=make_title(metric), ylim=(-0.6, len(models) - 0.4))
        axes.locator_params(axis="x", nbins=4)  # more labels would overlap
        axes.spines["left"].set_visible(False)
        axes.tick_params(axis="y", length=0)
    return figure


@with_defaults
def plot_matrix(means: pd.DataFrame, label: str, low: float, high: float) -> Figure:
    """Plot means as coloured cells with their numbers.

    Args:
        means: numbers by row and column of the figure; NaN where nothing was run.
        label: what the numbers are.
        low, high: the ends of the colour scale.

    Returns:
        A `matplotlib.figure.Figure` with an opaque background.
    """
    rows, columns = means.shape
    longest = max(map(len, means.index))
    figure, axes = new_figure(1.5 + 0.08 * longest + columns, 1 + 0.42 * rows)
    image = axes.imshow(means, cmap="cividis", vmin=low, vmax=high, aspect="auto")
    for (row, column), mean in np.ndenumerate(means):
        is_dark = mean < (low + high) / 2
        axes.text(
            column,
            row,
            "–" if np.isnan(mean) else f"{mean:.2f}",
            ha="center",
            va="center",
            color="white" if is_dark else "black",
        )
    axes.set_yticks(range(rows), means.index)
    axes.set_xticks(range(columns), means.columns.str.replace(", ", ",\n"), fontsize=9)
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    figure.colorbar(image, label=label)
    return figure


@with_defaults
def plot_accuracies(runs: pd.DataFrame, ceiling: float) -> Figure:
    """Plot each seed's test accuracy beside the ceiling for models blind to order.

    Args:
        runs: as `diffattn.studies.results.read_results` returns them.
        ceiling: the ceiling, in [0, 1].

    Returns:
        A `matplotlib.figure.Figure` with an opaque background.
    """
    figure, axes = new_figure(8, 3.6)
    # Models in the order of their colours from the top, new ones at the bottom.
    labels = sorted(
        runs["label"].unique(),
        key=lambda label: [*COLORS, label].index(label),
        reverse=True,
    )
    for row, label in enumerate(labels):
        group = runs[runs["label"] == label]
        accuracies = group["test_accuracy"].dropna()
        axes.plot([0.5, accuracies.max()], [row, row], color="#dddddd", zorder=1)
        axes.scatter(
            accuracies,
            [row] * len(accuracies),
            s=60,
            color=color(group["attention_type"].iloc[0]),
            zorder=3,
        )
    axes.axvline(ceiling, color="#333333", linestyle="--", linewidth=1, zorder=2)
    axes.annotate(
        "ceiling for models\nblind to order",
        (ceiling, len(labels) - 1.3),
        xytext=(6, 0),
        textcoords="offset points",
        color="#333333",
        va="center",
    )
    ticks = ["none (baseline)" if label == BASELINE else label for label in labels]
    axes.set_yticks(range(len(labels)), ticks)
    axes.set(xlim=(0.5, 1.02), xlabel="test accuracy")
    axes.spines["left"].set_visible(False)
    axes.tick_params(axis="y", length=0)
    return figure


@with_defaults
def plot_lines(accuracies: pd.DataFrame, x: str, label: str) -> Figure:
    """Plot accuracy against a number: a thick line of medians, a thin one for each run.

    Args:
        accuracies: a frame with the columns ``label``, ``seed``, ``accuracy`` and `x`.
        x: the name of the column of numbers, positive; their axis is logarithmic.
        label: what they are.

    Returns:
        A `matplotlib.figure.Figure` with an opaque ground, a panel for each model.
    """
    models = list(accuracies.groupby("label", sort=False))
    ticks = sorted(accuracies[x].unique())
    columns = min(4, len(models))
    rows = -(-len(models) // columns)
    figure, all_axes = new_figure(
        8.4, 2.3 * rows + 0.4, columns, rows=rows, squeeze=False,
        sharex=True, sharey=True,
    )  # fmt: skip
    for axes in all_axes.flat[len(models) :]:
        axes.set_axis_off()
    for axes, (name, of_model) in zip(all_axes.flat, models, strict=False):
        shade = color(name.split(" + ")[0])
        for _, run in of_model.groupby("seed"):
            line = run.sort_values(x)
            axes.plot(line[x], line["accuracy"], color=shade, alpha=0.3, linewidth=1)
        medians = of_model.groupby(x)["accuracy"].median()
        axes.plot(medians.index, medians, "o-", color=shade, linewidth=2.5)
        axes.set_title(name.replace(" + ", "\n+ "), fontsize=9)
        axes.set_xscale("log")
        axes.set_xticks(ticks, map(str, ticks), rotation=90)
        axes.minorticks_off()
    figure.supxlabel(label)
    figure.supylabel("test accuracy")
    return figure


@with_defaults
def plot_heads(values: pd.DataFrame, label: str) -> Figure:
    """Plot what each head has learned as a dot, a row for each seed.

    Args:
        values: as `diffattn.studies.answers.learned_values` returns them.
        label: what is learned.

    Returns:
        A `matplotlib.figure.Figure` with an opaque ground.
    """
    seeds = sorted(values["seed"].unique())
    figure, axes = new_figure(7, 1.3 + 0.3 * len(seeds))
    for row, seed in enumerate(seeds):
        heads = values[values["seed"] == seed]["value"]
        axes.scatter(heads, [row] * len(heads), s=30, color="#0072B2", alpha=0.6)
    axes.axvline(0, color="#333333", linewidth=1)
    axes.axvline(-1, color="#333333", linewidth=1, linestyle="--")
    axes.set_yticks(range(len(seeds)), [f"seed {seed}" for seed in seeds])
    axes.set(xlabel=f"{label}, a dot for each head (dashed: the documented −1)")
    axes.spines["left"].set_visible(False)
    return figure


@with_defaults
def plot_onsets(
    panels: Mapping[str, pd.DataFrame], laws: Mapping[str, "PowerLaw"]
) -> Figure:
    """Plot epochs of onset against a number on logarithmic axes, with fitted lines.

    Args:
        panels: dict from a column's name to a frame with that column, ``epoch`` and
            ``censored``.
        laws: dict from the same names to the fits, where there are any.

    Returns:
        A `matplotlib.figure.Figure` with an opaque ground, a panel for each name.
    """
    figure, all_axes = new_figure(8, 3.4, len(panels), squeeze=False, sharey=True)
    for axes, (name, frame) in zip(all_axes[0], panels.items(), strict=True):
        # Side by side where several runs begin in the same epoch.
        place = frame.groupby([name, "epoch"]).cumcount()
        x = frame[name] * 1.04**place
        for censored, marker in ((False, "o"), (True, "^")):
            part = frame["censored"] == censored
            axes.scatter(
                x[part], frame["epoch"][part], marker=marker, s=25,
                color=color("differentialSum"), alpha=0.7,
                label="no onset by then" if censored and part.any() else None,
            )  # fmt: skip
        ticks = sorted(frame[name].unique())
        if name in laws:
            law = laws[name]
            axes.plot(
                ticks, law.at(np.array(ticks)), color="black", linewidth=1,
                label=f"exponent {law.exponent:.2f} ({law.low:.2f} to {law.high:.2f})",
            )  # fmt: skip
            axes.legend(fontsize=8)
        axes.set(xscale="log", yscale="log", xlabel=name)
        axes.set_xticks(ticks, map(str, ticks))
        axes.set_yticks([1, 2, 5, 10, 20, 50], ["1", "2", "5", "10", "20", "50"])
        axes.set_ylim(0.8, 1.2 * max(frame["epoch"].max() for frame in panels.values()))
        axes.minorticks_off()
    all_axes[0][0].set_ylabel("epoch of onset")
    return figure
