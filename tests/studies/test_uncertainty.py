import math

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from diffattn.studies.uncertainty import (
    ALIKE,
    DIFFERS,
    TOO_FEW,
    Estimate,
    compare,
    estimate,
    predict,
    seeds_needed,
)


def samples(count, size=4000):
    """Draw many samples from a normal distribution with mean 3 and deviation 2."""
    return np.random.default_rng(0).normal(3, 2, (size, count))


@pytest.mark.parametrize("count", [2, 5, 20])
def test_the_interval_covers_the_mean_with_its_level(count):
    estimates = [estimate(values) for values in samples(count)]
    coverage = np.mean([one.low <= 3 <= one.high for one in estimates])
    assert coverage == pytest.approx(0.95, abs=0.01)


@pytest.mark.parametrize("count", [2, 5, 20])
def test_the_interval_covers_the_next_value_with_its_level(count):
    is_inside = [
        one.low <= value <= one.high
        for *values, value in samples(count + 1)
        for one in [predict(values, 0.9)]
    ]
    assert np.mean(is_inside) == pytest.approx(0.9, abs=0.015)


def test_an_estimate_of_zero_to_three_values():
    assert estimate([0.5]).mean == 0.5
    assert math.isnan(estimate([0.5]).half_width)
    assert math.isnan(estimate([]).mean)
    equal = estimate([1.0, 1.0, 1.0])
    assert (equal.low, equal.mean, equal.high, equal.deviation) == (1, 1, 1, 0)
    assert estimate([1.0, 3.0]).deviation == pytest.approx(math.sqrt(2))


def by_seed(values):
    return dict(enumerate(values))


@pytest.mark.parametrize("comparisons", [1, 6])
def test_the_interval_is_that_of_a_paired_t_test(comparisons):
    a, b = samples(8)[:2]
    difference = compare(
        by_seed(a), by_seed(b), margin=0, comparisons=comparisons
    ).difference
    expected = stats.ttest_rel(a, b).confidence_interval(1 - 0.05 / comparisons)
    assert difference.low == pytest.approx(expected.low)
    assert difference.high == pytest.approx(expected.high)


@pytest.mark.parametrize(
    ("differences", "margin", "verdict", "text"),
    [
        ([0.9, 1.0, 1.1], 0.1, DIFFERS, "differs"),
        ([-0.9, -1.0, -1.1], 9, DIFFERS, "differs"),
        ([-0.01, 0.0, 0.01], 0.1, ALIKE, "within ±0.0249"),
        ([-0.01, 0.0, 0.01], 0.02, TOO_FEW, "too few seeds"),
        ([5.0], 0.1, TOO_FEW, "too few seeds"),
        ([1e-8] * 3, 0.1, ALIKE, "within ±0.0001"),  # rounding alone
        ([], 0.1, TOO_FEW, "too few seeds"),
    ],
)
def test_verdicts(differences, margin, verdict, text):
    # Variation between seeds that both models share does not matter.
    reference = by_seed([10.0, 20.0, 30.0])
    values = {seed: reference[seed] + d for seed, d in enumerate(differences)}
    comparison = compare(values, reference, margin=margin)
    assert comparison.verdict == verdict
    assert str(comparison) == text


def test_only_common_seeds_are_compared():
    values, reference = {0: 1.0, 1: 1.0, 7: 9.0}, {0: 1.0, 1: 1.0, 8: 5.0}
    difference = compare(values, reference, margin=0.1).difference
    assert difference.count == 2
    assert difference.mean == 0


def test_series_are_compared_by_their_index():
    values = pd.Series([1.0, 4.0, 9.0], index=[2, 0, 7])
    reference = pd.Series([3.5, 0.25, 5.0], index=[0, 2, 8])
    comparison = compare(values, reference, margin=10)
    assert comparison.difference.mean == (0.75 + 0.5) / 2
    assert comparison == compare(values.to_dict(), reference.to_dict(), margin=10)


# Cohen's tables of paired t tests at 5%, two-sided, power 80%.
@pytest.mark.parametrize(("effect", "seeds"), [(0.2, 199), (0.5, 34), (0.8, 15)])
def test_seeds_needed_agrees_with_the_textbook(effect, seeds):
    assert seeds_needed(-2 * effect, 2) == seeds


@pytest.mark.parametrize("comparisons", [2, 3, 10])
def test_seeds_needed_corrects_for_every_comparison(comparisons):
    """The power is that of Fisher's noncentral F, with the whole number of them."""

    def power(count):
        bound = stats.f.isf(0.05 / comparisons, 1, count - 1)
        return stats.ncf.sf(bound, 1, count - 1, count * 0.7**2)

    count = seeds_needed(0.7, 1, comparisons=comparisons)
    assert power(count - 1) < 0.8 <= power(count)


@pytest.mark.parametrize("sign", [1, -1])
def test_an_interval_reaches_as_far_as_its_farther_bound(sign):
    low, high = sorted([sign * -0.03, sign * 0.01])
    assert Estimate(sign * -0.01, 0.1, low, high, 5).reach == 0.03


@pytest.mark.parametrize("sign", [1, -1])
def test_a_model_is_alike_only_if_both_bounds_are_within_the_margin(sign):
    differences = sign * np.array([-0.05, -0.03, 0.01])
    interval = stats.ttest_1samp(differences, 0).confidence_interval()
    near, far = sorted(map(abs, interval))
    assert interval.low < 0 < interval.high
    for margin, verdict in (((near + far) / 2, TOO_FEW), (far + 1e-9, ALIKE)):
        compared = compare(
            by_seed(differences), dict.fromkeys(range(3), 0.0), margin=margin
        )
        assert compared.verdict == verdict


def test_that_many_seeds_detect_the_difference():
    """In a simulation, with the correction for ten comparisons."""
    count = seeds_needed(1, 1, comparisons=10)
    values = samples(count) / 2 - 0.5  # mean 1, deviation 1
    zeros = by_seed(np.zeros(count))
    is_detected = [
        compare(by_seed(v), zeros, margin=0, comparisons=10).verdict == DIFFERS
        for v in values
    ]
    assert 0.78 < np.mean(is_detected) < 0.87


def test_seeds_needed_is_at_least_2_and_refuses_zeros_and_nan():
    assert seeds_needed(1000, 1) == 2
    for difference, deviation in ((0, 1), (1, 0), (1, math.nan)):
        with pytest.raises(ValueError, match=f"deviation={deviation}"):
            seeds_needed(difference, deviation)
