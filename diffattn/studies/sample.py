"""The study of the built-in reviews, a part of which only word order decides."""

from typing import TYPE_CHECKING

from diffattn.studies.grid import grid
from diffattn.studies.study import Study, draw_grids, report_grids

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from pandas import DataFrame

    from diffattn.studies.formatting import Table


def report(runs: "DataFrame") -> list["Table"]:
    """Report means and differences, and which models pass the ceiling.

    Args:
        runs: the study's, as `diffattn.studies.results.read_results` returns them.

    Returns:
        The list of `diffattn.studies.formatting.Table`.
    """
    from dataclasses import replace

    from diffattn.data.sample import sample_ceiling
    from diffattn.studies.summaries import compare_with_value
    from diffattn.studies.uncertainty import DIFFERS

    ceiling = sample_ceiling()
    above = [
        label
        for (_, label), comparison in compare_with_value(runs, ceiling).items()
        if comparison.verdict == DIFFERS and comparison.difference.mean > 0
    ]
    note = (
        f"No model that is blind to word order can be right in more than {ceiling:.3f} "
        f"of the test reviews (counted). Above that: {', '.join(above) or 'no model'}."
    )
    means, *others = report_grids(runs)
    return [replace(means, notes=[*means.notes, note]), *others]


def draw(runs: "DataFrame") -> dict[str, "Figure"]:
    """Draw the accuracies under the ceiling, and the losses beside them.

    Args:
        runs: the study's, as `diffattn.studies.results.read_results` returns them.

    Returns:
        A dict from a figure's name to the `matplotlib.figure.Figure`.
    """
    from diffattn.data.sample import sample_ceiling

    seeds = {f"{grid}-seeds": figure for grid, figure in draw_grids(runs).items()}
    return {"sample": plot_accuracies(runs, sample_ceiling()), **seeds}


def plot_accuracies(runs: "DataFrame", ceiling: float) -> "Figure":
    """Plot each seed's test accuracy, under the ceiling for models blind to order.

    Args:
        runs: as `diffattn.studies.results.read_results` returns them.
        ceiling: the ceiling, in [0, 1].

    Returns:
        A `matplotlib.figure.Figure` with an opaque ground.
    """
    from diffattn.figures import COLORS, color, new_figure
    from diffattn.names import BASELINE

    figure, axes = new_figure(8, 3.6)
    # The models in the order of their colours, the first on top, new ones below.
    labels = sorted(
        runs["label"].unique(),
        key=lambda label: [*COLORS, label].index(label),
        reverse=True,
    )
    for row, label in enumerate(labels):
        of_label = runs[runs["label"] == label]
        accuracies = of_label["test_accuracy"].dropna()
        axes.plot([0.5, accuracies.max()], [row, row], color="#dddddd", zorder=1)
        axes.scatter(
            accuracies,
            [row] * len(accuracies),
            s=60,
            color=color(of_label["attention_type"].iloc[0]),
            zorder=3,
        )
    axes.axvline(ceiling, color="#333333", linestyle="--", linewidth=1, zorder=2)
    axes.annotate(
        "ceiling for what\nis blind to order",
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


#: The study of the built-in reviews.
STUDY = Study(
    "sample",
    'Which scores tell "not good, but fun" from "good, but not fun"?',
    {"sample": grid(seeds=10)},
    report=report,
    figures=draw,
)
