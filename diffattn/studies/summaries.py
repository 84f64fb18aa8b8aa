"""From single runs to means and comparisons."""

from collections.abc import Sequence
from dataclasses import asdict

import pandas as pd

from diffattn.names import METRICS
from diffattn.studies.uncertainty import Comparison, compare, estimate

#: What every other model is compared with.
REFERENCE = "scaled_dot_product"

#: Two models do not differ if that is sure to this much: one test review in a hundred,
#: or as much of the loss.
MARGIN = 0.01

#: The two metrics that neither training nor early stopping has seen.
TEST_METRICS = ("test_loss", "test_accuracy")


def summarize(runs: pd.DataFrame, metrics: Sequence[str] = METRICS) -> pd.DataFrame:
    """Estimate the mean of each metric for each grid and model.

    Args:
        runs: as `diffattn.studies.results.read_results` returns them.
        metrics: names of columns.

    Returns:
        A `pandas.DataFrame` with a row for each grid, metric and label, and the columns
        ``grid``, ``label``, ``metric``, and those of
        `diffattn.studies.uncertainty.Estimate`: ``mean``, ``deviation``, ``low``,
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
    """Compare every other model with `REFERENCE`, seed by seed.

    Args:
        runs: of one grid, as `diffattn.studies.results.read_results` returns them.
        metric: one of `TEST_METRICS`.

    Returns:
        A dict from label to `diffattn.studies.uncertainty.Comparison`. The intervals
        hold for all models and both metrics together.

    Raises:
        KeyError: if there is no `REFERENCE` among the labels.
    """
    models = dict(list(runs.groupby("label", sort=False)))
    reference = _by_seed(models.pop(REFERENCE), metric)
    comparisons = len(models) * len(TEST_METRICS)
    return {
        label: compare(
            _by_seed(of_label, metric),
            reference,
            margin=MARGIN,
            comparisons=comparisons,
        )
        for label, of_label in models.items()
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
    compared = {}
    for key, group in groups:
        by_seed = _by_seed(group, metric)
        expected = dict.fromkeys(by_seed.index, value)
        compared[key] = compare(
            by_seed, expected, margin=MARGIN, comparisons=groups.ngroups
        )
    return compared


def _by_seed(runs, metric):
    """Return a metric of one model's runs that did not fail, with the seed as index."""
    return runs.dropna(subset=metric).set_index("seed")[metric]
