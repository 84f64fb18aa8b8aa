"""Compute intervals, comparisons and the number of seeds that a comparison needs."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy import optimize, stats

if TYPE_CHECKING:
    from pandas import Series

LEVEL = 0.95

DIFFERS = "differs"
ALIKE = "within the margin"
TOO_FEW = "too few seeds"

#: Metrics are computed in float32, so smaller differences count as none.
ROUNDING = 1e-6


@dataclass(frozen=True)
class Estimate:
    """A mean with its interval.

    Attributes:
        mean: float, of the values.
        deviation: float, their standard deviation; NaN for fewer than two.
        low, high: floats, the bounds of the interval; NaN for fewer than two values.
        count: int, number of values.
    """

    mean: float
    deviation: float
    low: float
    high: float
    count: int

    @property
    def half_width(self) -> float:
        """The distance from the mean to either bound."""
        return self.high - self.mean

    @property
    def reach(self) -> float:
        """The largest absolute value in the interval."""
        return max(abs(self.low), abs(self.high))


def estimate(values: Sequence[float], level: float = LEVEL) -> Estimate:
    """Estimate the mean of values, with Student's interval: mean ± t s / √n.

    Args:
        values: n independent floats, one for each seed.
        level: in (0, 1), the probability that such an interval contains the true mean.

    Returns:
        An `Estimate`; without values, its mean is NaN.
    """
    return _around_mean(values, level, lambda count: 1 / count)


def predict(values: Sequence[float], level: float = LEVEL) -> Estimate:
    """Predict where one more value will lie: mean ± t s √(1 + 1/n).

    Args:
        values: n independent floats, one for each seed.
        level: in (0, 1), the probability that such an interval contains the next value.

    Returns:
        An `Estimate` whose bounds are for a single value.
    """
    return _around_mean(values, level, lambda count: 1 + 1 / count)


def _around_mean(values, level, variance_factor):
    values = np.asarray(values, float)
    count = len(values)
    if count < 2:
        mean = float(values[0]) if count else math.nan
        return Estimate(mean, math.nan, math.nan, math.nan, count)
    mean, deviation = float(values.mean()), float(values.std(ddof=1))
    t = stats.t.ppf((1 + level) / 2, count - 1)
    half = float(t * deviation * math.sqrt(variance_factor(count)))
    return Estimate(mean, deviation, mean - half, mean + half, count)


@dataclass(frozen=True)
class Comparison:
    """Whether two models differ, as far as the seeds can tell.

    Attributes:
        difference: the `Estimate` of the paired differences, with an interval wide
            enough to hold for all comparisons together.
        verdict: `DIFFERS`, `ALIKE` or `TOO_FEW`.
    """

    difference: Estimate
    verdict: str

    def __str__(self):
        if self.verdict != ALIKE:
            return self.verdict
        return f"within ±{math.ceil(self.difference.reach * 1e4) / 1e4:.4f}"


def compare(
    values: "Mapping[int, float] | Series",
    reference: "Mapping[int, float] | Series",
    *,
    margin: float,
    comparisons: int = 1,
    level: float = LEVEL,
) -> Comparison:
    """Compare two models by their values for the same seeds.

    A seed decides the order of the batches and more in both models, so the paired
    differences vary less than the values. The mean difference has Student's interval at
    the level 1 − (1 − level) / comparisons (Bonferroni), so all intervals together hold
    with at least the probability ``level``.

    Args:
        values, reference: from seed to value, as dicts or as `pandas.Series` with the
            seeds as their index. Only seeds in both count.
        margin: the largest difference that still counts as none.
        comparisons: int, the number of comparisons made together.
        level: in (0, 1).

    Returns:
        A `Comparison`. The models differ if the interval excludes 0 by more than
        `ROUNDING`. They do not differ if it lies within ± the margin. Otherwise there
        are too few seeds to decide.
    """
    seeds = sorted({*values.keys()} & {*reference.keys()})
    difference = estimate(
        [values[seed] - reference[seed] for seed in seeds],
        1 - (1 - level) / comparisons,
    )
    if difference.low > ROUNDING or difference.high < -ROUNDING:
        verdict = DIFFERS
    elif difference.reach <= margin:
        verdict = ALIKE
    else:
        verdict = TOO_FEW
    return Comparison(difference, verdict)


def seeds_needed(
    difference: float,
    deviation: float,
    *,
    comparisons: int = 1,
    level: float = LEVEL,
    power: float = 0.8,
) -> int:
    """Compute how many seeds `compare` needs to detect a difference.

    With n pairs, its paired t test detects a true difference δ with the probability
    that a noncentral t variable with n − 1 degrees of freedom and noncentrality
    δ √n / s exceeds the test's bound.

    Args:
        difference: the true difference δ, not 0.
        deviation: the standard deviation s of the paired differences.
        comparisons, level: as for `compare`.
        power: in (0, 1), the probability of detecting the difference.

    Returns:
        The smallest number n of seeds, at least 2.

    Raises:
        ValueError: if the difference is 0 or the deviation is not a positive number.
    """
    if not difference or not deviation > 0:
        raise ValueError(
            "seeds_needed takes a difference other than 0 and a positive deviation. "
            f"Received: difference={difference}, deviation={deviation}"
        )
    significance = (1 - level) / comparisons

    def missing_power(n):
        bound = stats.t.ppf(1 - significance / 2, n - 1)
        noncentral = stats.nct(n - 1, abs(difference) / deviation * math.sqrt(n))
        return power - noncentral.sf(bound)

    if missing_power(2) <= 0:
        return 2
    enough = 2
    while missing_power(enough) > 0:
        enough *= 2
    return math.ceil(optimize.brentq(missing_power, 2, enough))
