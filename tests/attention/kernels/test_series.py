import math

import numpy as np
import pytest
from tools import worst

from diffattn.attention.kernels import series
from diffattn.attention.kernels.series import DEGREES


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("degree", DEGREES)
def test_the_series_ends_below_rounding(degree, dtype):
    """The remainder, summed; against e^0 = 1, as Jensen's inequality allows."""
    reach = series.reach(degree, dtype)
    remainder = sum(reach**n / math.factorial(n) for n in range(degree + 1, 60))
    assert remainder < np.finfo(dtype).eps / 2
    assert reach > 0.02 or dtype == "float64"


@pytest.mark.parametrize("degree", DEGREES)
def test_the_powers_products_sum_to_the_exponential(degree):
    rng = np.random.default_rng(4)
    x, y = rng.uniform(-1, 1, (1, 2, 5)), rng.uniform(-0.1, 0.1, (1, 2, 7))
    psi, phi = series._powers(x, degree), series._powers(y, degree)
    assert psi.shape[1] == series._terms(degree)
    found = np.einsum("npt,nps->ts", psi, phi)
    products = np.einsum("nct,ncs->ts", x, y)
    rest = 0.2 ** (degree + 1) / math.factorial(degree + 1)
    assert worst(found, np.exp(products)) < 1.1 * rest + 1e-15


@pytest.mark.parametrize("masked", [False, True])
def test_center_changes_no_sum_of_exponentials(masked):
    """Nor do the moments: the logarithm of each query's sum, and its weighted mean."""
    rng = np.random.default_rng(5)
    x = np.array([[[3.0]], [[-7.0]]]).reshape(1, 2, 1) + 0.1 * rng.normal(
        size=(3, 2, 5)
    )
    y = 4 + 0.1 * rng.normal(size=(3, 2, 11))
    mask = rng.random((3, 1, 11)) < 0.7 if masked else None
    *centered, largest = series.center(x, y, mask)
    assert largest.shape == (3,)
    assert 0 < np.min(largest) < np.max(largest) < 0.5
    sums, log_total = series.sums_by_moments(*centered, 13, None)
    exponentials = np.exp(np.einsum("nct,ncs->nts", x, y)) * (
        1 if mask is None else mask
    )
    total = exponentials.sum(axis=2)[:, None]
    assert worst(log_total, np.log(total)) < 1e-12
    mean = np.einsum("nts,ncs->nct", exponentials, y) / total
    assert worst(sums(y[:, :1], y[:, 1:]), mean) < 1e-12
