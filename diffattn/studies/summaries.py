"""Summarize runs as means and comparisons."""

from collections.abc import Sequence
from dataclasses import asdict

import pandas as pd

from diffattn.names import METRICS
from diffattn.studies.uncertainty import Comparison, compare, estimate

#: The model that all others are compared with.
REFERENCE = "scaled_dot_product"

#: Differences up to this count as none: one test review in a hundred, or as much in the
#: loss.
MARGIN = 0.01

#: The metrics that neither training nor early stopping has used.
TEST_METRICS = ("test_loss", "test_accuracy")


def summarize(runs: pd.DataFrame, metrics: Sequence[str] = METRICS) -> pd.DataFrame:
    """Estimate the mean of each metric for each grid and model.

    Args:
        runs: as `diffattn.studies.results.read_results` returns them.
        metrics: names of columns.

    Returns:
        A `pandas.DataFrame` with a row for each grid, metric and label, and the columns
        ``grid``, ``label`` and ``metric``; those of
        `diffattn.studies.uncertainty.Estimate`, ``mean``, ``deviation``, ``low``,
        ``high`` and ``count``; and the ``standardization`` of the grid's texts. Failed
        runs do not count.
    """
    return pd.DataFrame(
        [
            {
                "grid": grid,
                "label": label,
                "metric": metric,
                **asdict(estimate(values.dropna())),
                "standardization": in_grid["standardization"].iloc[0],
            }
            for grid, in_grid in runs.groupby("grid", sort=False)
            for metric in metrics
            for label, values in in_grid.groupby("label", sort=False)[metric]
        ]
    )


def compare_with_reference(runs: pd.DataFrame, metric: str) -> dict[str, Comparison]:
    """Compare each of the other models with `REFERENCE`, seed by seed.

    Args:
        runs: of one grid, as `diffattn.studies.results.read_results` returns them.
        metric: one of `TEST_METRICS`.

    Returns:
        A dict from label to `diffattn.studies.uncertainty.Comparison`. The intervals
        hold for all models and both metrics together.

    Raises:
        KeyError: if `REFERENCE` is not among the labels.
    """
    runs_of = dict(list(runs.groupby("label", sort=False)))
    reference = _by_seed(runs_of.pop(REFERENCE), metric)
    comparisons = len(runs_of) * len(TEST_METRICS)
    return {
        label: compare(
            _by_seed(group, metric), reference, margin=MARGIN, comparisons=comparisons
        )
        for label, group in runs_of.items()
    }


def compare_with_value(
    runs: pd.DataFrame, value: float, metric: str = "test_accuracy"
) -> dict[tuple[str, str], Comparison]:
    """Compare every model in every grid with a number.

    Args:
        runs: as `diffattn.studies.results.read_results` returns them.
        value: the number.
        metric: the name of a column.

    Returns:
        A dict from (grid, label) to `diffattn.studies.uncertainty.Comparison`. All
        intervals hold together.
    """
    groups = runs.groupby(["grid", "label"], sort=False)
    comparisons = {}
    for key, group in groups:
        by_seed = _by_seed(group, metric)
        reference = dict.fromkeys(by_seed.index, value)
        comparisons[key] = compare(
            by_seed, reference, margin=MARGIN, comparisons=groups.ngroups
        )
    return comparisons


def _by_seed(runs, metric):
    """Return a metric of one model's successful runs, with the seed as index."""
    return runs.dropna(subset=metric).set_index("seed")[metric]
