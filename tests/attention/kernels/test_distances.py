import numpy as np
import pytest
from tools import gradients, worst

from diffattn.attention.kernels import distances, sizes
from diffattn.attention.kernels.distances import minus_l1, minus_l2

FUNCTIONS = {"l1": minus_l1, "l2": minus_l2}


def points(case, dtype="float64"):
    """Queries (2, 2, 37, 70) and keys (2, 2, 41, 70), in float32's own numbers."""
    rng = np.random.default_rng(0)
    q, k = rng.normal(size=(2, 2, 37, 70)), rng.normal(size=(2, 2, 41, 70))
    if case == "far from 0":
        q, k = q + 100, k + 100
    if case == "some near, some equal":
        q, k = 100 * q, 100 * k
        k[:, :, :20] = q[:, :, :20] + 0.01 * rng.normal(size=(2, 2, 20, 70))
        k[:, :, 20:25] = q[:, :, 20:25]
    if case == "near":
        # Too far for the product to go negative, too near for all of its digits.
        q, k = 100 * q, 100 * k
        k[:, :, :20] = q[:, :, :20] + rng.normal(size=(2, 2, 20, 70))
    return [x.astype("float32").astype(dtype) for x in (q, k)]


def truth(q, k, name):
    difference = q[:, :, :, None] - k[:, :, None]
    if name == "l1":
        return -np.abs(difference).sum(-1)
    return -np.sqrt(np.square(difference).sum(-1))


def true_gradients(q, k, g, name):
    difference = q[:, :, :, None] - k[:, :, None]
    if name == "l1":
        slope = -np.sign(difference)
    else:
        length = np.sqrt(np.square(difference).sum(-1, keepdims=True))
        slope = -difference / np.where(length > 0, length, np.inf)
    slope *= g[..., None]
    return slope.sum(3), -slope.sum(2)


@pytest.fixture(params=["few", "many"])
def size(request, monkeypatch):
    if request.param == "many":
        monkeypatch.setattr(sizes, "FEW", 0)
    else:
        monkeypatch.setattr(sizes, "FEW", 2**30)


@pytest.mark.parametrize("name", FUNCTIONS)
@pytest.mark.parametrize(
    "case", ["normal", "far from 0", "near", "some near, some equal"]
)
@pytest.mark.usefixtures("size")
def test_distances_and_gradients_keep_their_digits(case, name):
    q, k = points(case)
    g = np.random.default_rng(1).normal(size=(2, 2, 37, 41))
    expected = truth(q, k, name)
    slopes = true_gradients(q, k, g, name)
    for dtype, digits in (("float64", 1e-13), ("float32", 1e-6)):
        q, k = points(case, dtype)
        found = np.asarray(FUNCTIONS[name](q, k))
        # Relative to each distance itself, the small ones too.
        error = np.abs(found - expected) / np.maximum(np.abs(expected), 1e-30)
        assert error[expected != 0].max() < digits
        assert (found[expected == 0] == 0).all()
        found = gradients(
            lambda q, k, f=FUNCTIONS[name], d=dtype: f(q, k) * g.astype(d), q, k
        )
        for one, other in zip(found, slopes, strict=True):
            assert worst(one, other) < 1e3 * digits


def test_a_matrix_product_alone_would_lose_them():
    """The reason for the second way: what the first makes of near vectors."""
    q, k = points("some near, some equal", "float32")
    by_product, near = distances._squared_by_product(q, k)
    assert near
    assert np.min(by_product) < 0
    by_product, near = distances._squared_by_product(*points("normal", "float32"))
    assert not near


def test_what_is_far_from_0_is_not_near_to_each_other(monkeypatch):
    """The keys' mean goes first, so that the fast way stays open."""

    def differences(*_):
        raise AssertionError("the differences were taken")

    monkeypatch.setattr(sizes, "FEW", 0)
    monkeypatch.setattr(distances, "_compiled", differences)
    q, k = points("far from 0", "float32")
    assert worst(minus_l2(q, k), truth(*points("far from 0"), "l2")) < 1e-3
    with pytest.raises(AssertionError, match="were taken"):
        minus_l2(*points("near", "float32"))
