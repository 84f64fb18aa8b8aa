"""The study of the built-in reviews, a part of which only word order decides."""

from typing import TYPE_CHECKING

from diffattn.studies.grid import LazyGrids, grid
from diffattn.studies.models import LEARNED, RIVALS, SIX, SUM, Model
from diffattn.studies.study import Study, draw_grids, report_grids

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from pandas import DataFrame

    from diffattn.studies.formatting import Table


#: All that may see order, beside the six and the baseline.
WITH_RIVALS: tuple[Model, ...] = (*SIX, "none", SUM, LEARNED, *RIVALS)

#: The grids with rivals: of these reviews, and of two kinds that ask for more.
VARIANTS = {
    "sample-rivals/plain": "sample",
    "sample-rivals/new-pairs": "sample-new-pairs",
    "sample-rivals/adverb": "sample-adverb",
}


def _grids():
    return {"sample": grid(seeds=10)} | {
        # A block needs as many features in the embedding as in the layer.
        name: grid(WITH_RIVALS, seeds=5, data=data, embedding_dim=32)
        for name, data in VARIANTS.items()
    }


def report(runs: "DataFrame") -> list["Table"]:
    """Report means and differences, and which models pass the ceiling.

    Args:
        runs: the study's, as `diffattn.studies.results.read_results` returns them.

    Returns:
        The list of `diffattn.studies.formatting.Table`.
    """
    tables = []
    for name, in_grid in runs.groupby("grid", sort=False):
        if name in VARIANTS:
            tables.append(_table_of_variant(in_grid))
        else:
            tables += _tables_of_six(in_grid)
    return tables


def _tables_of_six(runs):
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


def _table_of_variant(runs):
    from dataclasses import replace

    from diffattn.data.ceiling import order_blind_ceiling
    from diffattn.data.datasets import load_data
    from diffattn.data.sample_variants import seen_share
    from diffattn.data.texts import standardized_words
    from diffattn.studies.accuracies import table_of_accuracies

    config = runs["config"].iloc[0]
    data = load_data(config.for_data())
    words = standardized_words(data.test.texts)
    ceiling = order_blind_ceiling(words, data.test.labels)
    title = f"Built-in reviews with rivals, {config.dataset.help}"
    table = table_of_accuracies(title, runs, chance=ceiling)
    note = (
        f"The ceiling for models that are blind to word order is {ceiling:.3f}. "
        f"Training has seen {seen_share(data):.1%} of the test reviews, word for word."
    )
    return replace(table, notes=[*table.notes, note])


def draw(runs: "DataFrame") -> dict[str, "Figure"]:
    """Draw the accuracies under the ceiling, and the losses beside them.

    Args:
        runs: the study's, as `diffattn.studies.results.read_results` returns them.

    Returns:
        A dict from a figure's name to the `matplotlib.figure.Figure`.
    """
    from diffattn.data.sample import sample_ceiling
    from diffattn.studies.figures import plot_accuracies

    figures = {f"{grid}-seeds": figure for grid, figure in draw_grids(runs).items()}
    of_six = runs[~runs["grid"].isin(VARIANTS)]
    if len(of_six):
        figures["sample"] = plot_accuracies(of_six, sample_ceiling())
    return figures


#: The study of the built-in reviews.
STUDY = Study(
    "sample",
    'Which scores tell "not good, but fun" from "good, but not fun"?',
    LazyGrids(_grids),
    report=report,
    figures=draw,
)
