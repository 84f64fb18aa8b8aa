"""The study of length: what is learned on short texts, does it hold on long ones?"""

from typing import TYPE_CHECKING

from diffattn.studies.grid import LazyGrids, grid
from diffattn.studies.models import CAUSAL, CONVOLUTION, DIFFERENCE, POSITIONS, Model
from diffattn.studies.study import Study

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from pandas import DataFrame

    from diffattn.studies.formatting import Table

#: What sees order one way or another.
MODELS: tuple[Model, ...] = (
    DIFFERENCE,
    "differential",
    POSITIONS,
    "relative_bias",
    "rotary",
    CAUSAL,
    CONVOLUTION,
)

GRID = "length/trained-on-24"


def report(runs: "DataFrame") -> "list[Table]":
    """Report how many runs see at each length.

    Args:
        runs: the study's, as `diffattn.studies.results.read_results` returns them.

    Returns:
        A list of one `diffattn.studies.formatting.Table`.
    """
    from diffattn.studies.answers import accuracy_of_tests
    from diffattn.studies.seeing import table_of_seeing

    accuracies = accuracy_of_tests(runs)
    accuracies["test"] += " tokens"
    title = "Length: trained on 24 tokens, tested on more"
    return [table_of_seeing(title, accuracies, "test")]


def draw(runs: "DataFrame") -> "dict[str, Figure]":
    """Draw the accuracy against the length of the test texts.

    Args:
        runs: the study's, as `diffattn.studies.results.read_results` returns them.

    Returns:
        A dict from "length" to the `matplotlib.figure.Figure`.

    Raises:
        ResultError: if the name of a test set is no length.
    """
    from diffattn.errors import ResultError
    from diffattn.studies.answers import accuracy_of_tests
    from diffattn.studies.figures import plot_lines

    accuracies = accuracy_of_tests(runs)
    try:
        accuracies["length"] = accuracies["test"].astype(int)
    except ValueError as error:
        raise ResultError(f"a test set of {GRID} has no length: {error}") from error
    return {"length": plot_lines(accuracies, "length", "tokens of a test text")}


#: The study of length.
STUDY = Study(
    "length",
    "What is learned on 24 tokens, how far does it hold?",
    LazyGrids(lambda: {GRID: grid(MODELS, 10, data="order-lengths", epochs=12)}),
    report=report,
    figures=draw,
)
