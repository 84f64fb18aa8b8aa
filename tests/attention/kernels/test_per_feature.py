import numpy as np
import pytest
import reference
import tensorflow as tf
from tools import gradients, worst

from diffattn import attend
from diffattn.attention.kernels import per_feature, sizes
from diffattn.attention.kernels.per_feature import attend_per_feature

B, H, T, S, D = 2, 2, 47, 61, 6
#: How large the queries are: from where the lowest degree does to where none does.
SIZES = (0.0, 1e-3, 0.01, 0.05, 0.2, 5.0)


def qkv(size, dtype="float64"):
    rng = np.random.default_rng(0)
    q, k, v = (rng.normal(size=(B, H, n, D)) for n in (T, S, S))
    return [x.astype(dtype) for x in (size * q, k, v)]


def masks():
    keys = np.random.default_rng(1).random((B, 1, 1, S)) < 0.6
    keys[1] = False
    pairs = np.random.default_rng(2).random((B, H, T, S)) < 0.6
    pairs[0, 1, 3] = False
    return {"none": None, "keys": keys, "heads": pairs[:1, :, :1], "pairs": pairs}


def lean(q, k, v, mask=None, dropout_mask=None):
    return attend_per_feature(q, k, v, 1.0, mask, dropout_mask)


@pytest.fixture(autouse=True)
def few(request, monkeypatch):
    """In blocks, unless a test asks for all weights at once."""
    monkeypatch.setattr(sizes, "FEW", getattr(request, "param", 0))


at_once_and_in_blocks = pytest.mark.parametrize("few", [0, 2**30], indirect=True)


@at_once_and_in_blocks
@pytest.mark.parametrize("mask", ["none", "keys", "heads", "pairs"])
@pytest.mark.parametrize("size", SIZES)
def test_equals_the_specification(size, mask):
    mask = masks()[mask]
    expected, _ = reference.attend(*qkv(size), "differential", mask=mask)
    assert worst(lean(*qkv(size), mask), expected) < 1e-13
    assert worst(lean(*qkv(size, "float32"), mask), expected) < 3e-6


@at_once_and_in_blocks
@pytest.mark.parametrize("mask", ["none", "keys", "pairs"])
@pytest.mark.parametrize("size", SIZES)
def test_gradients_equal_those_of_the_formula(size, mask):
    mask = masks()[mask]
    g = np.random.default_rng(3).normal(size=(B, H, T, D))
    expected = gradients(
        lambda q, k, v: attend(q, k, v, "differential", mask=mask)[0] * g, *qkv(size)
    )
    for dtype, error in (("float64", 1e-12), ("float32", 3e-5 * max(size, 1))):
        found = gradients(
            lambda *x, d=dtype: lean(*x, mask) * g.astype(d), *qkv(size, dtype)
        )
        for one, other in zip(found, expected, strict=True):
            assert worst(one, other) < error


@pytest.mark.parametrize("block", [1, 3 * T * S, per_feature.BLOCK])
def test_blocks_do_not_matter(block, monkeypatch):
    monkeypatch.setattr(per_feature, "BLOCK", block)
    expected, _ = reference.attend(*qkv(0.2), "differential")
    assert worst(tf.function(lean)(*qkv(0.2)), expected) < 1e-13


@pytest.mark.parametrize("lengths", [(T, S), (5 * T, S), (5 * T, 9 * S), (2, 3)])
def test_blocks_fit_lengths_that_are_known_only_then(lengths, monkeypatch):
    block = 3 * T * S
    monkeypatch.setattr(per_feature, "BLOCK", block)
    sizes = []

    def record(x, y, *others):
        numbers = tf.shape(x)[1], tf.shape(x)[0], tf.shape(x)[2], tf.shape(y)[2]
        tf.py_function(lambda *n: sizes.append([int(i) for i in n]), numbers, [])
        return exact(x, y, *others)

    exact = per_feature._exact_sums
    monkeypatch.setattr(per_feature, "_exact_sums", record)
    rng = np.random.default_rng(0)
    queries, keys = lengths
    q, k, v = (rng.normal(size=(B, H, n, D)) for n in (queries, keys, keys))
    signature = [tf.TensorSpec((None, H, None, D), tf.float64)] * 3
    found = tf.function(lean, input_signature=signature, autograph=False)(q, k, v)
    expected, _ = reference.attend(q, k, v, "differential")
    assert worst(found, expected) < 1e-13
    # The largest divisor of H · D with which a block stays in its bounds.
    most = max(1, block // (queries * keys))
    features = max(n for n in (1, 2, 3, 4, 6, 12) if n <= most)
    assert sizes == [[2, features, queries, keys]] * (B * H * D // features)


@pytest.fixture
def through_weights(monkeypatch):
    """A list with an entry for each block whose weights were computed."""
    blocks = []
    compiled = per_feature._compiled_weights

    def recorded(direction):
        def compute(*tensors):
            tf.py_function(lambda: blocks.append(direction), [], [])
            return compiled(direction)(*tensors)

        return compute

    monkeypatch.setattr(per_feature, "_compiled_weights", recorded)
    # A graph of another test would not know of it.
    anew = per_feature._blocks_in_a_graph.__wrapped__
    monkeypatch.setattr(per_feature, "_blocks_in_a_graph", anew)
    return blocks


def test_small_scores_need_no_weights(through_weights):
    expected, _ = reference.attend(*qkv(1e-3), "differential")
    assert worst(lean(*qkv(1e-3, "float32")), expected) < 1e-6
    assert not through_weights
    lean(*qkv(5.0, "float32"))
    assert through_weights


def test_masked_keys_need_no_weights_however_far_they_are(through_weights):
    # The second half: a key after a masked one would have it as its predecessor.
    mask = (np.arange(S) < S // 2)[None, None, None]
    expected, _ = reference.attend(*qkv(1e-3), "differential", mask=mask)
    q, k, v = qkv(1e-3, "float32")
    k[:, :, S // 2 :] = 1e6
    assert worst(lean(q, k, v, mask), expected) < 1e-6
    assert not through_weights
