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
    from diffattn.studies.figures import plot_accuracies

    seeds = {f"{grid}-seeds": figure for grid, figure in draw_grids(runs).items()}
    return {"sample": plot_accuracies(runs, sample_ceiling()), **seeds}


#: The study of the built-in reviews.
STUDY = Study(
    "sample",
    'Which scores tell "not good, but fun" from "good, but not fun"?',
    {"sample": grid(seeds=10)},
    report=report,
    figures=draw,
)
