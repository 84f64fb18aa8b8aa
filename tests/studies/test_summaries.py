"""Summaries of frames; the truth is SciPy's, from the accuracies themselves."""

import math

import numpy as np
import pytest
from scipy import stats
from stored_results import accuracy, store

from diffattn.names import METRICS, MODEL_TYPES
from diffattn.studies.grid import grid
from diffattn.studies.results import read_results
from diffattn.studies.summaries import (
    compare_with_reference,
    compare_with_value,
    summarize,
)

SEEDS = 5
#: By label, one accuracy for each seed.
ACCURACIES = {
    config.attention_type: [
        accuracy(other)
        for other in grid(MODEL_TYPES, SEEDS)
        if other.attention_type == config.attention_type
    ]
    for config in grid(MODEL_TYPES, 1)
}


@pytest.fixture
def runs(tmp_path):
    return store(tmp_path / "results", grid(MODEL_TYPES, SEEDS), accuracy)


def test_every_mean_has_a_students_t_interval(runs):
    means = summarize(runs)
    assert len(means) == len(METRICS) * len(MODEL_TYPES)
    assert means.columns.tolist() == [
        *("grid", "label", "metric"),
        *("mean", "deviation", "low", "high", "count"),
        "standardization",
    ]
    for row in means.itertuples():
        values = ACCURACIES[row.label]
        interval = stats.ttest_1samp(values, 0).confidence_interval()
        assert row.grid == "results"
        assert row.mean == pytest.approx(np.mean(values))
        assert row.deviation == pytest.approx(np.std(values, ddof=1))
        assert (row.low, row.high) == pytest.approx((interval.low, interval.high))
        assert row.count == SEEDS


def test_failed_runs_do_not_count(tmp_path):
    def metrics(config):
        return "MemoryError: " if config.seed == 1 else config.seed / 4

    means = summarize(store(tmp_path / "some", grid(["none"], 4), metrics))
    assert means["mean"].tolist() == [pytest.approx((0 + 2 + 3) / 12)] * len(METRICS)
    assert set(means["count"]) == {3}
    failed = store(tmp_path / "failed", grid(["none"], 2), lambda _: "Error: ")
    means = summarize(failed)
    assert set(means["count"]) == {0}
    assert means["mean"].isna().all()


def test_differences_are_paired_by_seed_with_joint_intervals(runs):
    comparisons = compare_with_reference(runs, "test_accuracy")
    assert list(comparisons) == [*MODEL_TYPES[1:]]
    # Six models and two metrics: Bonferroni's level for twelve.
    level = 1 - 0.05 / 12
    for label, comparison in comparisons.items():
        pairs = stats.ttest_rel(ACCURACIES[label], ACCURACIES["scaled_dot_product"])
        interval = pairs.confidence_interval(level)
        difference = comparison.difference
        assert difference.low == pytest.approx(interval.low)
        assert difference.high == pytest.approx(interval.high)
        assert difference.count == SEEDS
    assert comparisons["differential"].verdict == "differs"
    assert comparisons["l1_norm"].verdict == "within the margin"
    assert comparisons["l2_norm"].verdict == "too few seeds"


def test_only_common_seeds_are_compared(tmp_path):
    def metrics(config):
        failed = {"none": 1, "scaled_dot_product": 3}[config.attention_type]
        return "MemoryError: " if config.seed == failed else 0.1 * config.seed

    configs = grid(["none", "scaled_dot_product"], 5)
    comparisons = compare_with_reference(store(tmp_path, configs, metrics), "test_loss")
    assert comparisons["none"].difference.count == 3
    assert comparisons["none"].difference.mean == 0


def test_a_missing_reference_is_an_error(tmp_path):
    runs = store(tmp_path, grid(["none", "l1_norm"], 2), accuracy)
    with pytest.raises(KeyError, match="scaled_dot_product"):
        compare_with_reference(runs, "test_loss")


def test_a_value_is_compared_in_every_grid(tmp_path):
    def by_distance(config):
        noise = 0.002 * (config.seed % 3 - 1)
        learns = config.attention_type == "differential" and config.distance == 1
        return (0.9 if learns else 0.5) + noise

    for distance in (1, 2):
        configs = grid(MODEL_TYPES, 6, data="order", distance=distance)
        folder = tmp_path / "order" / f"length-24-distance-{distance}"
        store(folder, configs, by_distance)
    comparisons = compare_with_value(read_results(tmp_path), 0.5)
    assert len(comparisons) == 2 * len(MODEL_TYPES)
    comparison = comparisons.pop(("order/length-24-distance-1", "differential"))
    assert comparison.verdict == "differs"
    assert {other.verdict for other in comparisons.values()} == {"within the margin"}
    values = [0.9 + 0.002 * (seed % 3 - 1) for seed in range(6)]
    interval = stats.ttest_1samp(values, 0.5).confidence_interval(1 - 0.05 / 14)
    difference = comparison.difference
    assert difference.low == pytest.approx(interval.low - 0.5)
    assert difference.high == pytest.approx(interval.high - 0.5)
    assert not math.isnan(difference.low)
