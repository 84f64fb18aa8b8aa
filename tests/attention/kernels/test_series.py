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
