"""Statistics of a few seeds: intervals, comparisons, and how many seeds it takes."""

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
ALIKE = "does not differ"
TOO_FEW = "too few seeds"

#: Metrics come as float32: what differs by less than this is equal.
ROUNDING = 1e-6


@dataclass(frozen=True)
class Estimate:
    """A mean, and between what bounds it lies.

    Attributes:
        mean: float, of the values.
        deviation: float, their standard deviation; NaN for fewer than two.
        low, high: floats, the interval; NaN for fewer than two values.
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
        """The largest value, of either sign, in the interval."""
        return max(abs(self.low), abs(self.high))


def estimate(values: Sequence[float], level: float = LEVEL) -> Estimate:
    """Estimate the mean of values, with Student's interval: mean ± t s / √n.

    Args:
        values: floats, independent of each other, as from n seeds.
        level: in (0, 1), how probably such an interval holds the true mean.

    Returns:
        An `Estimate`, of NaN where there are no values.
    """
    return _around_mean(values, level, lambda count: 1 / count)


def predict(values: Sequence[float], level: float = LEVEL) -> Estimate:
    """Predict where one more value will lie: mean ± t s √(1 + 1/n).

    Args:
        values: floats, independent of each other, as from n seeds.
        level: in (0, 1), how probably such an interval holds the next value.

    Returns:
        An `Estimate` whose bounds are for a single value.
    """
    return _around_mean(values, level, lambda count: 1 + 1 / count)


def _around_mean(values, level, share_of_variance):
    values = np.asarray(values, float)
    count = len(values)
    if count < 2:
        mean = float(values[0]) if count else math.nan
        return Estimate(mean, math.nan, math.nan, math.nan, count)
    mean, deviation = float(values.mean()), float(values.std(ddof=1))
    t = stats.t.ppf((1 + level) / 2, count - 1)
    half = float(t * deviation * math.sqrt(share_of_variance(count)))
    return Estimate(mean, deviation, mean - half, mean + half, count)


@dataclass(frozen=True)
class Comparison:
    """Whether two things differ, as far as the seeds can tell.

    Attributes:
        difference: the `Estimate` of the paired differences, its interval wide
            enough to hold for all comparisons made together.
        verdict: `DIFFERS`, `ALIKE` or `TOO_FEW`.
    """

    difference: Estimate
    verdict: str

    def __str__(self):
        if self.verdict != ALIKE:
            return self.verdict
        return f"{ALIKE} within ±{math.ceil(self.difference.reach * 1e4) / 1e4:.4f}"


def compare(
    values: "Mapping[int, float] | Series",
    reference: "Mapping[int, float] | Series",
    *,
    margin: float,
    comparisons: int = 1,
    level: float = LEVEL,
) -> Comparison:
    """Compare two things by what they gave with the same seeds.

    A seed decides the order of the batches and more, for both alike, so that their
    differences vary less than they do. The interval of the mean difference is
    Student's at 1 − (1 − level) / comparisons (Bonferroni), so that all of the
    intervals hold together with at least the level's probability.

    Args:
        values, reference: from seed to value, as dicts or as `pandas.Series` with the
            seeds as their index. Only seeds in both count.
        margin: how far an interval that holds 0 may reach, to say "no difference".
        comparisons: int, how many are made together.
        level: in (0, 1).

    Returns:
        A `Comparison`: the two differ if the interval leaves out 0, by more than
        `ROUNDING`; they do not differ if it reaches no further than the margin; else
        there are too few seeds to say.
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
    """Compute how many seeds `compare` needs to see a difference.

    Its paired t test sees a true difference δ among n pairs with the probability
    that a noncentral t variable of n − 1 degrees and noncentrality δ √n / s
    exceeds the test's bound.

    Args:
        difference: the true difference δ, not 0.
        deviation: the standard deviation s of the paired differences.
        comparisons, level: as for `compare`.
        power: in (0, 1), how probably the difference is to be seen.

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
    most = 2
    while missing_power(most) > 0:
        most *= 2
    return math.ceil(optimize.brentq(missing_power, 2, most))
