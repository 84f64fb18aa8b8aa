"""Runs that either see or don't: how many do, and in which epoch it begins."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd

    from diffattn.studies.formatting import Table

#: A run sees if its accuracy is at least this.
SEES = 0.9


def count_seeing(accuracies: "pd.Series") -> str:
    """Say how many runs see, with the binomial interval of their share.

    Example:
        >>> import pandas as pd
        >>> count_seeing(pd.Series([0.5, 1.0, 0.99]))
        '2 of 3 (0.09 to 0.99)'
    """
    from diffattn.studies.statistics import proportion

    given = accuracies.dropna()
    if not len(given):
        return ""
    return str(proportion(int((given >= SEES).sum()), len(given)))


def table_of_seeing(title: str, accuracies: "pd.DataFrame", column: str) -> "Table":
    """Tabulate for each model and column how many runs see, and the median accuracy.

    Args:
        title: the table's.
        accuracies: a frame with the columns ``label``, ``accuracy`` and `column`, a row
            for each run.
        column: the name of the column whose values head the table's columns.

    Returns:
        A `diffattn.studies.formatting.Table` with a row for each label.
    """
    from diffattn.studies.formatting import Table

    columns = accuracies[column].unique()
    groups = accuracies.groupby(["label", column], sort=False)["accuracy"]
    cells = {
        key: f"{count_seeing(values)}, median {values.median():.3f}"
        for key, values in groups
    }
    rows = [
        [label, *(cells.get((label, one), "") for one in columns)]
        for label in accuracies["label"].unique()
    ]
    note = (
        f"How many runs see, with an accuracy of at least {SEES}, the 95% interval of "
        "their share (Clopper and Pearson), and the median accuracy."
    )
    return Table(title, ["model", *map(str, columns)], rows, [note])


def onset(history: dict[str, list[float]], sees: float = SEES) -> tuple[int, bool]:
    """Find the epoch in which a run begins to see.

    Args:
        history: of a run, with ``val_accuracy`` epoch by epoch.
        sees: the accuracy from which on it does.

    Returns:
        (epoch, censored): the first epoch, counted from 1, whose validation accuracy is
        at least `sees`; or the last epoch and True where there is none.
    """
    values = history["val_accuracy"]
    for epoch, value in enumerate(values, start=1):
        if value >= sees:
            return epoch, False
    return len(values), True
