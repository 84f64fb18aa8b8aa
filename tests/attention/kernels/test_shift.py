import numpy as np
import pytest
import reference
from tools import D, gradients, qkv, worst

from diffattn.attention.kernels.shift import (
    following,
    plus_previous,
    previous,
    previous_by_head,
)


@pytest.mark.parametrize("tokens", [0, 1, 4])
def test_previous_is_one_step_down_and_keeps_the_shape(tokens):
    q, _, _ = qkv(tokens=tokens)
    assert np.array_equal(previous(q), reference.prev(q))


@pytest.mark.parametrize("lag", [1, 3, 9])
def test_following_is_previous_transposed(lag):
    x, y, _ = qkv(keys=5)
    one = (np.asarray(previous(x, lag)) * y).sum()
    assert abs(one - (x * np.asarray(following(y, lag))).sum()) < 1e-12


def test_each_group_of_heads_has_its_lag():
    x, _, _ = qkv()
    found = np.asarray(previous_by_head(x, (1, 2, 1)))
    for head, lag in enumerate((1, 2, 1)):
        for i in range(5):
            expected = x[:, head, i - lag] if i >= lag else np.zeros((2, D))
            assert worst(found[:, head, i], expected) == 0
    with pytest.raises(ValueError, match=r"lag=\(1, 2\), 3 heads"):
        previous_by_head(x, (1, 2))


@pytest.mark.parametrize(("weight", "lag"), [(-1.0, 1), (0.5, 2), (1.0, 7)])
def test_the_sum_with_the_pair_before_and_its_gradient(weight, lag):
    products = np.random.default_rng(0).normal(size=(2, 3, 5, 11))
    before = np.zeros_like(products)
    before[:, :, lag:, lag:] = products[:, :, :-lag, :-lag]
    assert worst(plus_previous(products, weight, lag), products + weight * before) == 0
    g = np.random.default_rng(1).normal(size=products.shape)
    behind = np.zeros_like(g)
    behind[:, :, :-lag, :-lag] = g[:, :, lag:, lag:]
    (found,) = gradients(lambda p: plus_previous(p, weight, lag) * g, products)
    assert worst(found, g + weight * behind) < 1e-14
