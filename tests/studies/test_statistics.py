import itertools
import math

import numpy as np
import pytest
from scipy import stats

from diffattn.studies.statistics import (
    fit_power_law,
    holm,
    proportion,
    resample,
)
from diffattn.studies.uncertainty import estimate


@pytest.mark.parametrize("level", [0.8, 0.95])
@pytest.mark.parametrize(("k", "n"), [(0, 10), (6, 10), (10, 10), (1, 1), (3, 25)])
def test_the_binomial_interval_is_scipys_exact_one(k, n, level):
    found = proportion(k, n, level)
    expected = stats.binomtest(k, n).proportion_ci(level, method="exact")
    assert (found.low, found.high) == pytest.approx((expected.low, expected.high))
    assert type(found.low) is type(found.high) is float


@pytest.mark.parametrize("n", [1, 5, 10])
def test_the_binomial_interval_holds_at_least_as_often_as_it_says(n):
    """Summed over all outcomes, at every probability: no sampling in it."""
    intervals = [proportion(k, n) for k in range(n + 1)]
    for p in np.linspace(0, 1, 201):
        held = [one.low <= p <= one.high for one in intervals]
        assert stats.binom.pmf(np.arange(n + 1), n, p) @ held >= 0.95


def test_a_proportion_is_told_as_a_count():
    assert str(proportion(6, 10)) == "6 of 10 (0.26 to 0.88)"


def closed_test(p_values):
    """Holm's method as a closed test: Bonferroni's on each set of hypotheses."""
    names = list(p_values)
    sets = [s for n in range(len(names)) for s in itertools.combinations(names, n + 1)]
    bonferroni = {s: min(1, len(s) * min(p_values[n] for n in s)) for s in sets}
    return {n: max(bonferroni[s] for s in sets if n in s) for n in names}


@pytest.mark.parametrize("count", [1, 2, 5])
def test_holm_is_the_closed_test_of_bonferroni(count):
    random = np.random.default_rng(count)
    for _ in range(20):
        p_values = {f"c{i}": p for i, p in enumerate(random.beta(0.3, 1, count))}
        found = holm(p_values)
        assert list(found) == list(p_values)
        assert found == pytest.approx(closed_test(p_values))


def test_holm_of_a_case_worked_out_by_hand():
    found = holm({"a": 0.01, "b": 0.04, "c": 0.03, "d": 0.005})
    assert found == pytest.approx({"a": 0.03, "b": 0.06, "c": 0.06, "d": 0.02})
    assert holm({"a": 0.9, "b": 0.8}) == {"a": 1, "b": 1}
    assert holm({}) == {}


def table(random, seeds=5, items=400, *, mean=0.0, seed=1.0, item=1.0, noise=1.0):
    """Values with a part of the seed, a part of the item and a part of neither."""
    return (
        mean
        + seed * random.normal(size=(seeds, 1))
        + item * random.normal(size=(1, items))
        + noise * random.normal(size=(seeds, items))
    )


def test_without_items_that_differ_it_is_students_interval():
    random = np.random.default_rng(0)
    a = np.repeat(random.normal(3, 2, (6, 1)), 50, axis=1)
    b = np.repeat(random.normal(2, 2, (6, 1)), 50, axis=1)
    found = resample(a, b)
    expected = stats.ttest_rel(a[:, 0], b[:, 0])
    interval = expected.confidence_interval(0.95)
    assert found.mean == pytest.approx(estimate(a[:, 0] - b[:, 0]).mean)
    # The bootstrap's own error is about 1/√(2 · 10,000) of the width.
    assert found.low == pytest.approx(interval.low, abs=0.04 * found.error)
    assert found.high == pytest.approx(interval.high, abs=0.04 * found.error)
    assert found.p_value == pytest.approx(expected.pvalue, rel=0.05)
    assert found.degrees == pytest.approx(5, abs=0.3)


def test_without_seeds_that_differ_it_is_the_interval_of_the_items():
    items = np.random.default_rng(0).random(400) < 0.6
    found = resample(np.tile(items, (4, 1)), 0.5)
    assert found.mean == items.mean() - 0.5
    assert found.error == pytest.approx(items.std() / 20, rel=0.03)
    assert found.degrees == pytest.approx(399, rel=0.05)


def test_the_error_is_the_one_that_resampling_one_by_one_finds():
    """Rows and columns drawn with replacement, as anybody would write it."""
    random = np.random.default_rng(1)
    a, b = random.random((2, 4, 60)) < np.array([0.8, 0.6])[:, None, None]
    difference = a.astype(float) - b
    means = [
        difference[np.ix_(random.integers(0, 4, 4), random.integers(0, 60, 60))].mean()
        for _ in range(10_000)
    ]
    between = difference.mean(axis=1).var(ddof=1) / 4
    found = resample(a, b)
    assert found.error**2 == pytest.approx(np.var(means) + between / 4, rel=0.05)
    assert found.mean == pytest.approx(difference.mean())


@pytest.mark.parametrize(
    ("parts", "most"),
    [
        ({"seed": 0.3, "item": 1.0, "noise": 1.0}, 0.99),
        ({"seed": 1.0, "item": 1.0, "noise": 1.0}, 0.975),
        ({"seed": 0.02, "item": 1.0, "noise": 0.3}, 0.975),
        ({"seed": 0.3, "item": 0.0, "noise": 0.5}, 0.99),
    ],
)
@pytest.mark.parametrize("seeds", [5, 10])
def test_the_interval_holds_the_mean_about_as_often_as_it_says(parts, most, seeds):
    """New seeds and new items each time, 600 times: ±0.009 is one deviation."""
    random = np.random.default_rng(seeds)
    held, rejected = [], []
    for i in range(600):
        found = resample(
            table(random, seeds, 40, mean=2.0, **parts), 2.0, resamples=200, seed=i
        )
        held.append(found.low <= 0 <= found.high)
        rejected.append(found.p_value <= 0.05)
    assert 0.925 < np.mean(held) < most
    assert np.mean(held) == 1 - np.mean(rejected)


def test_resampling_is_repeated_by_its_seed_alone():
    values = table(np.random.default_rng(0))
    assert resample(values) == resample(values)
    assert resample(values) != resample(values, seed=1)
    # Taken once; NumPy promises this stream for ever.
    small = np.arange(6.0).reshape(2, 3) % 4
    assert resample(small, resamples=10).error == pytest.approx(0.3263150034575)


def test_what_never_varies_has_no_error():
    right = np.ones((3, 5), bool)
    assert (resample(right, 0.5).low, resample(right, 0.5).p_value) == (0.5, 0.0)
    assert (resample(right, right).mean, resample(right, right).p_value) == (0.0, 1.0)


LENGTHS = np.repeat([24.0, 50, 100, 200], 5)


def onsets(random, exponent=1.4, deviation=0.3):
    noise = random.normal(0, deviation, len(LENGTHS))
    return 0.02 * LENGTHS**exponent * np.exp(noise)


@pytest.mark.parametrize("level", [0.8, 0.95])
def test_without_censoring_it_is_least_squares_of_the_logarithms(level):
    y = onsets(np.random.default_rng(0))
    found = fit_power_law(LENGTHS, y, level=level)
    line = stats.linregress(np.log(LENGTHS), np.log(y))
    half = stats.t.ppf((1 + level) / 2, len(y) - 2) * line.stderr
    assert found.exponent == pytest.approx(line.slope, abs=1e-9)
    assert found.low == pytest.approx(line.slope - half, abs=1e-8)
    assert found.high == pytest.approx(line.slope + half, abs=1e-8)
    assert found.factor == pytest.approx(math.exp(line.intercept), rel=1e-8)
    rest = np.log(y) - line.intercept - line.slope * np.log(LENGTHS)
    assert found.deviation == pytest.approx(rest.std(), rel=1e-8)
    assert (found.count, found.censored) == (20, 0)
    assert found.at(10.0) == pytest.approx(found.factor * 10**found.exponent)


@pytest.mark.parametrize("limit", [8.0, 20.0])
def test_with_censoring_it_is_the_maximum_of_the_likelihood(limit):
    """Against SciPy's own likelihood of censored data, searched on a fine grid."""
    y = onsets(np.random.default_rng(1))
    censored = y > limit
    y = np.minimum(y, limit)
    found = fit_power_law(LENGTHS, y, censored)
    assert found.censored == censored.sum() > 2

    def likelihood(exponent, factor, deviation):
        mean = np.log(factor) + exponent * np.log(LENGTHS)
        distribution = stats.norm(mean, deviation)
        parts = np.where(
            censored, distribution.logsf(np.log(y)), distribution.logpdf(np.log(y))
        )
        return parts.sum()

    best = likelihood(found.exponent, found.factor, found.deviation)
    for changes in itertools.product((-0.01, 0, 0.01), repeat=3):
        b, f, d = changes
        other = likelihood(
            found.exponent + b, found.factor * (1 + f), found.deviation * (1 + d)
        )
        assert other <= best + 1e-9
    assert found.low < found.exponent < found.high


def test_the_interval_of_the_exponent_holds_it_as_often_as_it_says():
    """200 times, up to a third of the runs censored: ±0.015 is one deviation."""
    random = np.random.default_rng(2)
    held, found, naive = [], [], []
    for _ in range(200):
        y = onsets(random)
        censored = y > 25
        fit = fit_power_law(LENGTHS, np.minimum(y, 25), censored)
        held.append(fit.low <= 1.4 <= fit.high)
        found.append(fit.exponent)
        naive.append(np.polyfit(np.log(LENGTHS), np.log(np.minimum(y, 25)), 1)[0])
    assert np.mean(held) == pytest.approx(0.95, abs=0.04)
    assert np.mean(found) == pytest.approx(1.4, abs=0.03)
    assert np.mean(naive) < 1.3


def test_values_on_a_line_have_no_interval_to_speak_of():
    found = fit_power_law([1, 2, 4, 8], [3, 6, 12, 24])
    assert (found.low, found.exponent, found.high) == pytest.approx((1, 1, 1), abs=1e-6)
    found = fit_power_law([1, 2, 4, 8], [1, 1, 1, 1])
    assert (found.low, found.high) == pytest.approx((0, 0), abs=1e-6)


SQUARE = np.zeros((2, 2))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: proportion(11, 10), "successes must be .*below 11.*successes=11"),
        (lambda: proportion(0, 0), "count must be a positive integer.*count=0"),
        (lambda: proportion(1, 2, 1), r"level must be in \(0, 1\).*level=1"),
        (lambda: holm({"a": 1.1}), r"must be in \[0, 1\].*p_values\['a'\]=1.1"),
        (lambda: holm({"a": math.nan}), r"must be in \[0, 1\].*p_values\['a'\]=nan"),
        (lambda: resample(np.zeros(3)), r"values must be finite.*shape \(3,\)"),
        (lambda: resample(SQUARE[:1]), r"values must be .*shape \(1, 2\)"),
        (lambda: resample(SQUARE, np.zeros((2, 3))), r"same shape.*\(2, 2\).*\(2, 3\)"),
        (lambda: resample(SQUARE, resamples=1), "resamples must be .*resamples=1"),
        (lambda: resample(SQUARE, seed=-1), "seed must be an integer.*seed=-1"),
        (lambda: resample(SQUARE, level=0), "level must be .*level=0"),
        (lambda: fit_power_law([1, 2], [1]), "equally many. Received: 2, 1 and 1"),
        (lambda: fit_power_law([1, 0], [1, 1]), "x must be positive numbers"),
        (lambda: fit_power_law([1, 2], [1, math.inf]), "y must be positive numbers"),
        (lambda: fit_power_law([1, 2], [1, 1]), "three uncensored.*2 at 2"),
        (lambda: fit_power_law([2] * 4, [1, 2, 3, 4]), "three uncensored.*4 at 1"),
        (lambda: fit_power_law([1], [1], [1]), "censored must be bools.*int64"),
    ],
)
def test_bad_arguments_are_named(call, message):
    with pytest.raises(ValueError, match=message):
        call()
