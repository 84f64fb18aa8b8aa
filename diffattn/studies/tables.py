"""The two tables that every grid of runs can have: means, and differences."""

import pandas as pd

from diffattn.data.versions import STANDARDIZATION_VERSION
from diffattn.names import METRICS
from diffattn.studies.formatting import (
    Table,
    format_interval,
    format_mean,
    format_number,
    make_title,
)
from diffattn.studies.summaries import (
    MARGIN,
    REFERENCE,
    TEST_METRICS,
    compare_with_reference,
)
from diffattn.studies.uncertainty import LEVEL, estimate
from diffattn.studies.verdicts import conclude


def table_of_means(title: str, runs: pd.DataFrame) -> Table:
    """Tabulate means in the published layout: mean ± half the interval in each cell.

    Args:
        title: the table's.
        runs: of one grid, as `diffattn.studies.results.read_results` returns them.

    Returns:
        A `Table` with a row for each label, and a note on each failed run.
    """
    rows = [
        [
            label,
            *(format_mean(estimate(of_label[metric].dropna())) for metric in METRICS),
            _count(of_label),
        ]
        for label, of_label in runs.groupby("label", sort=False)
    ]
    failed = runs[runs["error"].notna()]
    has_own_order = runs["config"].map(lambda config: config.order_seed is None).any()
    order = ", order" if has_own_order else ""
    notes = [
        f"Mean over the seeds ± half its {LEVEL:.0%} interval (Student's t). Initial "
        f"weights{order} and dropout change with the seed; the data and their split do "
        "not.",
        *(
            f"Failed: {run.label}, seed {run.seed}: {run.error}"
            for run in failed.itertuples()
        ),
        *notes_on_tokens(runs),
    ]
    return Table(title, ["attention", *map(make_title, METRICS), "seeds"], rows, notes)


def notes_on_tokens(runs: pd.DataFrame) -> list[str]:
    """Name the standardization of the runs' texts, if it is not today's.

    Args:
        runs: as `diffattn.studies.results.read_results` returns them.

    Returns:
        A list of sentences, as a rule empty.
    """
    return [
        f"The texts went through standardization {version}; today's, "
        f"{STANDARDIZATION_VERSION}, gives some of them other tokens."
        for version in sorted(set(runs["standardization"]) - {STANDARDIZATION_VERSION})
    ]


def _count(runs):
    failed = runs["error"].count()
    return f"{len(runs)}" + f", {failed} failed" * bool(failed)


def table_of_differences(title: str, runs: pd.DataFrame) -> Table:
    """Tabulate the paired differences to `REFERENCE`, and a verdict on each.

    Args:
        title: the table's.
        runs: of one grid, as `diffattn.studies.results.read_results` returns them.

    Returns:
        A `Table` with a row for each other label and metric.

    Raises:
        KeyError: if there is no `REFERENCE` among the labels.
    """
    compared = {metric: compare_with_reference(runs, metric) for metric in TEST_METRICS}
    rows = [
        [
            label,
            make_title(metric),
            format_number(comparison.difference.mean, "+.4f"),
            format_interval(comparison.difference, "+.4f"),
            str(comparison),
        ]
        for metric, by_label in compared.items()
        for label, comparison in by_label.items()
    ]
    notes = [
        f"Differences to {REFERENCE} with the same seed: their mean, and its interval; "
        f"all {len(rows)} intervals hold together with at least {LEVEL:.0%} "
        "probability (Student's t, Bonferroni). If one holds 0 and reaches no further "
        f"than {MARGIN}, any difference is smaller than its farther bound.",
        *(conclude(metric, by_label) for metric, by_label in compared.items()),
        *notes_on_tokens(runs),
    ]
    headers = ["attention", "metric", "difference", "interval", "verdict"]
    return Table(title, headers, rows, notes)
