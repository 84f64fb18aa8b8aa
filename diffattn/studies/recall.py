"""The study of recall: can one layer look up what followed?"""

from typing import TYPE_CHECKING

from diffattn.studies.grid import LazyGrids, grid
from diffattn.studies.models import (
    DIFFERENCE,
    LEARNED,
    SIX,
    SUM,
    TWO_LAYERS,
    TWO_LAYERS_WITH_POSITIONS,
    Model,
)
from diffattn.studies.study import Study

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from pandas import DataFrame

    from diffattn.studies.formatting import Table

#: One layer with each score, and two layers, which can compose.
MODELS: tuple[Model, ...] = (
    *SIX,
    SUM,
    LEARNED,
    "smeared_keys",
    "multi_token",
    TWO_LAYERS,
    TWO_LAYERS_WITH_POSITIONS,
)

#: The rows that the question is about, where all would take too long.
FEWER: tuple[Model, ...] = (
    DIFFERENCE,
    "differential",
    SUM,
    "smeared_keys",
    "multi_token",
    TWO_LAYERS_WITH_POSITIONS,
)


def _at_slot(models, pairs, seeds):
    length = 2 * pairs + 2  # the pairs, the query and the slot
    return grid(models, seeds, data="recall", pairs=pairs, sequence_length=length)


def _grids():
    return {
        "recall/slot-8-pairs": _at_slot(MODELS, 8, seeds=10),
        "recall/query-8-pairs": grid(MODELS, seeds=5, data="recall-query", pairs=8),
        **{
            f"recall/slot-{pairs}-pairs": _at_slot(FEWER, pairs, seeds=5)
            for pairs in (4, 16, 32)
        },
    }


def report(runs: "DataFrame") -> "list[Table]":
    """Report how many runs recall, with as many pairs as in training and with twice.

    Args:
        runs: the study's, as `diffattn.studies.results.read_results` returns them.

    Returns:
        A list of a `diffattn.studies.formatting.Table` for each form of the task.
    """
    from dataclasses import replace

    from diffattn.studies.seeing import table_of_seeing

    accuracies = _accuracies(runs)
    titles = {
        "recall": "Recall, read at an empty slot after the query",
        "recall-query": "Recall, read at the query",
    }
    note = (
        "A model that is blind to order is right in 1 of N texts of N pairs, and no "
        "more (theorem; `diffattn.data.recall.recall_ceiling`)."
    )
    tables = [
        table_of_seeing(titles[form], of_form, "texts")
        for form, of_form in accuracies.groupby("form", sort=False)
    ]
    return [replace(table, notes=[*table.notes, note]) for table in tables]


def _accuracies(runs):
    """A frame of ``label``, ``form``, ``texts`` (of how many pairs), ``accuracy``."""
    import pandas as pd

    rows = []
    for run in runs.itertuples():
        pairs = run.config.pairs
        tests = {f"{pairs} pairs": run.test_accuracy}
        for name, measured in (run.tests or {}).items():
            tests[f"{name.replace('-', ' ')} after {pairs}"] = measured["accuracy"]
        rows += [
            (run.label, run.config.data, pairs, texts, accuracy)
            for texts, accuracy in tests.items()
        ]
    columns = ["label", "form", "pairs", "texts", "accuracy"]
    frame = pd.DataFrame(rows, columns=columns)
    return frame.sort_values("pairs", kind="stable")


def draw(runs: "DataFrame") -> "dict[str, Figure]":
    """Draw the median accuracies by model and by task, as coloured cells.

    Args:
        runs: the study's, as `diffattn.studies.results.read_results` returns them.

    Returns:
        A dict from "recall" to the `matplotlib.figure.Figure`.
    """
    from diffattn.studies.figures import plot_matrix

    accuracies = _accuracies(runs)
    read_at = {"recall": ", at the slot", "recall-query": ", at the query"}
    short = accuracies["texts"].str.replace(" pairs after", " after")
    accuracies["texts"] = short + accuracies["form"].map(read_at)
    medians = accuracies.groupby(["label", "texts"])["accuracy"].median().unstack()
    medians = medians.loc[runs["label"].unique(), accuracies["texts"].unique()]
    return {"recall": plot_matrix(medians, "median test accuracy", 0.0, 1.0)}


#: The study of recall.
STUDY = Study(
    "recall",
    "Can one layer look up what followed a token?",
    LazyGrids(_grids),
    report=report,
    figures=draw,
)
