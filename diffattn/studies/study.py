"""What a study is, and what is made of its runs unless it says otherwise."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from diffattn.training.config import Config

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from pandas import DataFrame

    from diffattn.studies.formatting import Table


def report_grids(runs: "DataFrame") -> list["Table"]:
    """Report each grid by itself: its means, then the differences between models.

    Args:
        runs: as `diffattn.studies.results.read_results` returns them.

    Returns:
        The list of `diffattn.studies.formatting.Table`.
    """
    from diffattn.studies.formatting import make_title
    from diffattn.studies.summaries import REFERENCE
    from diffattn.studies.tables import table_of_differences, table_of_means

    tables = []
    for grid, in_grid in runs.groupby("grid", sort=False):
        title = make_title(grid).capitalize()
        tables.append(table_of_means(title, in_grid))
        labels = in_grid["label"].unique()
        if REFERENCE in labels and len(labels) > 1:
            tables.append(table_of_differences(f"{title}: differences", in_grid))
    return tables


def draw_grids(runs: "DataFrame") -> dict[str, "Figure"]:
    """Draw the test loss and accuracy of each grid, one dot for each seed.

    Args:
        runs: as `diffattn.studies.results.read_results` returns them.

    Returns:
        A dict from the grid's name to its `matplotlib.figure.Figure`.
    """
    from diffattn.studies.figures import plot_seeds

    grids = runs.groupby("grid", sort=False)
    return {grid: plot_seeds(in_grid) for grid, in_grid in grids}


@dataclass(frozen=True)
class Study:
    """A question, the runs that answer it, and how the answer is shown.

    Attributes:
        name: the name, as in ``diffattn table --study NAME``.
        question: what is asked, in one sentence.
        grids: dict from a folder's name under the results to the runs in it; a
            `diffattn.studies.grid.LazyGrids` where scores have options.
        report: function of the study's runs, a frame as
            `diffattn.studies.results.read_results` returns it, to its list of tables.
        figures: function of the same frame to a dict from a figure's name to a
            `matplotlib.figure.Figure`. The book shows the one that is named like the
            study.
    """

    name: str
    question: str
    grids: Mapping[str, list[Config]]
    report: Callable[["DataFrame"], list["Table"]] = report_grids
    figures: Callable[["DataFrame"], dict[str, "Figure"]] = draw_grids
