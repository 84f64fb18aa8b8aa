"""A table of test accuracies whose intervals hold for other seeds and other items."""

from typing import TYPE_CHECKING

from diffattn.studies.answers import answers, compare_answers

if TYPE_CHECKING:
    from pandas import DataFrame

    from diffattn.studies.formatting import Table


def table_of_accuracies(
    title: str, runs: "DataFrame", *, chance: float, together: int = 1
) -> "Table":
    """Tabulate the test accuracy of each model, the best first.

    Args:
        title: the table's.
        runs: of one grid, as `diffattn.studies.results.read_results` returns them.
        chance: the accuracy of a model that sees nothing.
        together: as for `diffattn.studies.answers.answers`.

    Returns:
        A `diffattn.studies.formatting.Table` with a row for each label.
    """
    from diffattn.studies.formatting import Table, format_bounds
    from diffattn.studies.tables import notes_on_tokens

    rows = []
    for label, of_label in runs.groupby("label", sort=False):
        right = answers(of_label, together=together)
        above = compare_answers(of_label, chance, together=together)
        mean = float(right.to_numpy().mean()) if len(right) else float("nan")
        interval = (
            "–"
            if above is None
            else format_bounds(chance + above.low, chance + above.high, ".4f")
        )
        rows.append([label, mean, interval, str(len(right))])
    rows.sort(key=lambda row: -row[1])
    notes = [
        "Mean test accuracy over the seeds, and its 95% interval: seeds and test items "
        "were resampled together. Exploratory, except for the primary comparisons.",
        *notes_on_tokens(runs),
    ]
    cells = [[label, f"{mean:.4f}", *others] for label, mean, *others in rows]
    headers = ["model", "test accuracy", "interval", "seeds"]
    return Table(title, headers, cells, notes)
