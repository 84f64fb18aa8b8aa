"""The study of the order task: which of two tokens comes first?"""

from typing import TYPE_CHECKING

from diffattn.names import MODEL_TYPES
from diffattn.studies.grid import grid
from diffattn.studies.study import Study
from diffattn.training.config import Config

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from pandas import DataFrame

    from diffattn.studies.formatting import Table
    from diffattn.studies.uncertainty import Comparison

#: What a model gets that answers a sequence and its mirror image alike.
CHANCE = 0.5


def _all_and_rival(length, distance, seeds=10):
    """All models, and the dot product with positional encoding as their rival."""
    task = {"data": "order", "sequence_length": length, "distance": distance}
    rival = grid(["scaled_dot_product"], seeds, positional_encoding=True, **task)
    # Seed by seed, as in a grid of one kind.
    return sorted([*grid(MODEL_TYPES, seeds, **task), *rival], key=lambda c: c.seed)


_GRIDS = {
    f"order/length-{length}-distance-{distance}": _all_and_rival(length, distance)
    for length, distance in ((24, 1), (24, 2), (24, 4), (70, 1), (200, 1))
} | {
    # Two apart, or with positions in longer texts, fifteen epochs end before most seeds
    # have learned anything: is it the sight that ends, or the training?
    "order/length-24-distance-2-epochs-60": grid(
        ["differentialSum", "differential"],
        seeds=10,
        data="order",
        distance=2,
        epochs=60,
    ),
    "order/length-70-distance-1-epochs-60": grid(
        ["scaled_dot_product"],
        seeds=10,
        data="order",
        positional_encoding=True,
        sequence_length=70,
        epochs=60,
    ),
}


def report(runs: "DataFrame") -> list["Table"]:
    """Report the test accuracy of each model on each task.

    Args:
        runs: the study's, as `diffattn.studies.results.read_results` returns them.

    Returns:
        A list of one `diffattn.studies.formatting.Table`.
    """
    return [table_of_order("Order: which of two tokens comes first?", runs)]


def table_of_order(title: str, runs: "DataFrame") -> "Table":
    """Tabulate test accuracy by model and by task, against `CHANCE`.

    Args:
        title: the table's.
        runs: as `diffattn.studies.results.read_results` returns them.

    Returns:
        A `diffattn.studies.formatting.Table` with a row for each label and a column for
        each grid.
    """
    from diffattn.studies.formatting import Table
    from diffattn.studies.summaries import compare_with_value
    from diffattn.studies.uncertainty import LEVEL

    compared = compare_with_value(runs, CHANCE)
    tasks = _tasks(runs)
    rows = [
        [label, *(_accuracy(compared.get((grid, label))) for grid in tasks)]
        for label in runs["label"].unique()
    ]
    counts = runs.groupby(["grid", "label"]).size()
    seeds = " to ".join(map(str, sorted({counts.min(), counts.max()})))
    note = (
        f"Test accuracy over {seeds} seeds: mean ± half its "
        f"interval; all intervals hold together with at least {LEVEL:.0%} probability. "
        "A model that answers every sequence and its mirror image alike gets exactly "
        f"{CHANCE}: the test set has both. A star marks what differs from that."
    )
    return Table(title, ["attention", *tasks.values()], rows, [note])


def _tasks(runs):
    """Say for each grid what its runs are to do, from the settings that they share."""
    first = runs.groupby("grid", sort=False)["config"].first()
    return {grid: _describe_task(config) for grid, config in first.items()}


def _describe_task(config: Config) -> str:
    task = f"{config.sequence_length} tokens, {config.distance} apart"
    usual = config.epochs == Config(data="order").epochs
    return task if usual else f"{task}, {config.epochs} epochs"


def _accuracy(comparison: "Comparison | None") -> str:
    """Format a table's cell; it is empty for what was not run."""
    from dataclasses import replace

    from diffattn.studies.formatting import format_mean
    from diffattn.studies.uncertainty import DIFFERS

    if comparison is None:
        return ""
    difference = comparison.difference
    accuracy = replace(
        difference,
        mean=CHANCE + difference.mean,
        low=CHANCE + difference.low,
        high=CHANCE + difference.high,
    )
    star = " *" if comparison.verdict == DIFFERS else ""
    return format_mean(accuracy, ".3f") + star


def draw(runs: "DataFrame") -> dict[str, "Figure"]:
    """Draw the study's one figure.

    Args:
        runs: the study's, as `diffattn.studies.results.read_results` returns them.

    Returns:
        A dict from its name to the `matplotlib.figure.Figure`.
    """
    return {"order": plot_order(runs)}


def plot_order(runs: "DataFrame") -> "Figure":
    """Plot the mean test accuracy by model and by task, as coloured cells.

    Args:
        runs: as `diffattn.studies.results.read_results` returns them.

    Returns:
        A `matplotlib.figure.Figure`.
    """
    from diffattn.studies.figures import plot_matrix

    tasks = _tasks(runs)
    means = runs.groupby(["label", "grid"])["test_accuracy"].mean().unstack()
    means = means.loc[runs["label"].unique(), list(tasks)].rename(columns=tasks)
    return plot_matrix(means, "test accuracy", CHANCE, 1.0)


#: The study of the order task.
STUDY = Study(
    "order",
    "Which scores see the order of two tokens, and how far apart may these be?",
    _GRIDS,
    report=report,
    figures=draw,
)
