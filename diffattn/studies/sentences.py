"""The study of sentences: who sees two swapped words in text that people wrote?"""

from typing import TYPE_CHECKING

from diffattn.studies.grid import LazyGrids, grid
from diffattn.studies.models import (
    CONVOLUTION,
    DIFFERENCE,
    FAMILY,
    LEARNED,
    RIVALS,
    SUM,
    TWO_LAYERS_WITH_POSITIONS,
    Model,
    label,
)
from diffattn.studies.study import Study

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from pandas import DataFrame

    from diffattn.studies.formatting import Table

#: What cannot see order, and by the design of the data gets exactly one half.
BLIND: tuple[Model, ...] = (
    "none",
    "scaled_dot_product",
    "cosine_similarity",
    "l1_norm",
    "l2_norm",
)

#: All that can.
SEEING: tuple[Model, ...] = (
    DIFFERENCE,
    "differential",
    *FAMILY,
    *RIVALS,
    TWO_LAYERS_WITH_POSITIONS,
)

#: The two rivals with the highest mean validation accuracy, the best first. Once all
#: rivals have run, the report fails if the runs say otherwise.
BEST_RIVALS: tuple[Model, ...] = (CONVOLUTION, "smeared_keys")

#: As Keras starts an embedding: the deviation of uniform numbers within 0.05.
SMALL = 0.029

_SCALE = 1.0


def _grid(models, seeds, **settings):
    return grid(models, seeds, data="sentences", scale=_SCALE, **settings)


_PRIMARY = (DIFFERENCE, SUM, *BEST_RIVALS[:1])
_APART = (DIFFERENCE, SUM, "differentialSum(lag=2)", "differentialSum(lag=(1, 2))")


def _grids():
    return {
        "sentences/distance-1": [
            *_grid(SEEING, 5),
            *_grid(BLIND, 2),
            *_grid(_PRIMARY, 5, first_seed=5),
        ],
        "sentences/small-embedding": _grid(
            (DIFFERENCE, SUM, *BEST_RIVALS), 5, embedding_spread=SMALL
        ),
        **{
            f"sentences/distance-{distance}": _grid(
                (*_APART, "differentialSum(lag=4)", *BEST_RIVALS), 5, distance=distance
            )
            for distance in (2, 4)
        },
    }


def report(runs: "DataFrame") -> "list[Table]":
    """Report the primary comparisons, then the accuracies of each grid.

    Args:
        runs: the study's, as `diffattn.studies.results.read_results` returns them.

    Returns:
        The list of `diffattn.studies.formatting.Table`.

    Raises:
        ResultError: if `BEST_RIVALS` are not those that the runs choose.
    """
    from diffattn.studies.primary import tables_of_primary

    check_best_rivals(runs)
    tables = [
        table_of_sentences(in_grid) for _, in_grid in runs.groupby("grid", sort=False)
    ]
    return [*tables_of_primary(runs), *tables]


def check_best_rivals(runs: "DataFrame") -> None:
    """Raise a ResultError if other rivals are the best on the validation set.

    As long as a rival has not run its first five seeds, nothing is checked.

    Args:
        runs: the study's, as `diffattn.studies.results.read_results` returns them.
    """
    from diffattn.errors import ResultError
    from diffattn.studies.primary import CHOOSING, rank_rivals

    ranked = rank_rivals(runs)
    if (ranked["count"] == len(CHOOSING)).sum() < len(RIVALS):
        return
    best, given = list(ranked.index[:2]), [label(model) for model in BEST_RIVALS]
    if best != given:
        raise ResultError(f"the best rivals on sentences are {best}, not {given}")


def table_of_sentences(runs: "DataFrame") -> "Table":
    """Tabulate the accuracy of each model, the best first.

    Args:
        runs: of one grid.

    Returns:
        A `diffattn.studies.formatting.Table`.
    """
    from diffattn.studies.accuracies import table_of_accuracies

    config = runs["config"].iloc[0]
    start = config.embedding_spread
    title = (
        f"Sentences: words {config.distance} apart swapped, embedding from a normal of "
        f"deviation {start}"
    )
    return table_of_accuracies(title, runs, chance=0.5, together=2)


def draw(runs: "DataFrame") -> "dict[str, Figure]":
    """Draw each grid's accuracies, and the coefficients that were learned.

    Args:
        runs: the study's, as `diffattn.studies.results.read_results` returns them.

    Returns:
        A dict from a figure's name to the `matplotlib.figure.Figure`; "sentences" is
        of words next to each other.
    """
    from diffattn.studies.answers import learned_values
    from diffattn.studies.figures import plot_heads, plot_seeds

    figures = {}
    for name, in_grid in runs.groupby("grid", sort=False):
        order = in_grid.groupby("label")["test_accuracy"].mean().sort_values()[::-1]
        by_accuracy = in_grid.set_index("label").loc[order.index].reset_index()
        figures[name] = plot_seeds(by_accuracy, ("test_accuracy",))
    if "sentences/distance-1" in figures:
        figures["sentences"] = figures.pop("sentences/distance-1")
    learned = learned_values(runs[runs["label"] == LEARNED], "coefficient")
    if len(learned):
        figures["sentences-coefficients"] = plot_heads(learned, "learned λ")
    return figures


#: The study of sentences.
STUDY = Study(
    "sentences",
    "Which models see two swapped words in real sentences?",
    LazyGrids(_grids),
    report=report,
    figures=draw,
)
