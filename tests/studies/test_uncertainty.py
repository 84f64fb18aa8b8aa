import math

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from diffattn.studies.uncertainty import (
    ALIKE,
    DIFFERS,
    TOO_FEW,
    compare,
    estimate,
    predict,
    seeds_needed,
)


def samples(count, size=4000):
    """Many normal samples, their mean 3 and deviation 2."""
    return np.random.default_rng(0).normal(3, 2, (size, count))


@pytest.mark.parametrize("count", [2, 5, 20])
def test_the_interval_holds_the_mean_as_often_as_it_says(count):
    found = [estimate(values) for values in samples(count)]
    held = np.mean([one.low <= 3 <= one.high for one in found])
    assert held == pytest.approx(0.95, abs=0.01)


@pytest.mark.parametrize("count", [2, 5, 20])
def test_the_next_value_lies_inside_as_often_as_it_says(count):
    held = [
        one.low <= value <= one.high
        for *values, value in samples(count + 1)
        for one in [predict(values, 0.9)]
    ]
    assert np.mean(held) == pytest.approx(0.9, abs=0.015)


def test_an_estimate_of_few_values():
    assert estimate([0.5]).mean == 0.5
    assert math.isnan(estimate([0.5]).half_width)
    assert math.isnan(estimate([]).mean)
    same = estimate([1.0, 1.0, 1.0])
    assert (same.low, same.mean, same.high, same.deviation) == (1, 1, 1, 0)
    assert estimate([1.0, 3.0]).deviation == pytest.approx(math.sqrt(2))


def by_seed(values):
    return dict(enumerate(values))


@pytest.mark.parametrize("comparisons", [1, 6])
def test_the_interval_is_the_one_of_the_paired_test(comparisons):
    a, b = samples(8)[:2]
    found = compare(by_seed(a), by_seed(b), margin=0, comparisons=comparisons)
    expected = stats.ttest_rel(a, b).confidence_interval(1 - 0.05 / comparisons)
    assert found.difference.low == pytest.approx(expected.low)
    assert found.difference.high == pytest.approx(expected.high)


@pytest.mark.parametrize(
    ("differences", "margin", "verdict", "said"),
    [
        ([0.9, 1.0, 1.1], 0.1, DIFFERS, "differs"),
        ([-0.9, -1.0, -1.1], 9, DIFFERS, "differs"),
        ([-0.01, 0.0, 0.01], 0.1, ALIKE, "does not differ within ±0.0249"),
        ([-0.01, 0.0, 0.01], 0.02, TOO_FEW, "too few seeds"),
        ([5.0], 0.1, TOO_FEW, "too few seeds"),
        ([1e-8] * 3, 0.1, ALIKE, "does not differ within ±0.0001"),  # rounding alone
        ([], 0.1, TOO_FEW, "too few seeds"),
    ],
)
def test_verdicts(differences, margin, verdict, said):
    # What varies from seed to seed, for both alike, does not matter.
    reference = by_seed([10.0, 20.0, 30.0])
    values = {seed: reference[seed] + d for seed, d in enumerate(differences)}
    found = compare(values, reference, margin=margin)
    assert found.verdict == verdict
    assert str(found) == said


def test_only_seeds_that_both_have_are_compared():
    found = compare({0: 1.0, 1: 1.0, 7: 9.0}, {0: 1.0, 1: 1.0, 8: 5.0}, margin=0.1)
    assert found.difference.count == 2
    assert found.difference.mean == 0


def test_series_are_compared_by_their_index():
    values = pd.Series([1.0, 4.0, 9.0], index=[2, 0, 7])
    reference = pd.Series([3.5, 0.25, 5.0], index=[0, 2, 8])
    found = compare(values, reference, margin=10)
    assert found.difference.mean == (0.75 + 0.5) / 2
    assert found == compare(values.to_dict(), reference.to_dict(), margin=10)


# Cohen's tables of paired t tests at 5 %, two-sided, power 80 %.
@pytest.mark.parametrize(("effect", "seeds"), [(0.2, 199), (0.5, 34), (0.8, 15)])
def test_seeds_needed_are_those_of_the_textbooks(effect, seeds):
    assert seeds_needed(-2 * effect, 2) == seeds


def test_so_many_seeds_do_see_it():
    """By simulation, with a correction for many comparisons."""
    count = seeds_needed(1, 1, comparisons=10)
    values = samples(count) / 2 - 0.5  # mean 1, deviation 1
    zeros = by_seed(np.zeros(count))
    seen = [
        compare(by_seed(v), zeros, margin=0, comparisons=10).verdict == DIFFERS
        for v in values
    ]
    assert 0.78 < np.mean(seen) < 0.87


def test_seeds_needed_at_the_least_and_with_nonsense():
    assert seeds_needed(1000, 1) == 2
    for difference, deviation in ((0, 1), (1, 0), (1, math.nan)):
        with pytest.raises(ValueError, match=f"deviation={deviation}"):
            seeds_needed(difference, deviation)
