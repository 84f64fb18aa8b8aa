"""Attention a block of queries at a time is attention."""

import numpy as np
import pytest
import reference
import tensorflow as tf
from tools import B, D, H, gradients, qkv, worst

from diffattn import attend
from diffattn.attention.attend import attend_lean
from diffattn.attention.kernels import blocks

TYPES = (
    "scaled_dot_product",
    "cosine_similarity",
    "l1_norm",
    "l2_norm",
    "differentialSum",
    "differentialSum(lag=(1, 2, 4), coefficient=0.5)",
)
T, S = 23, 17


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch):
    """Blocks of five queries, which do not divide the 23."""
    monkeypatch.setattr(blocks, "MANY", 1)
    monkeypatch.setattr(blocks, "BLOCK", 5 * B * H * S)


def masks():
    keys = np.arange(S) < np.arange(S, S - B, -1)[:, None]
    causal = np.arange(T)[:, None] >= np.arange(S)
    pairs = np.random.default_rng(2).random((B, H, T, S)) < 0.6
    pairs[0, 1, 3] = False
    return {
        "none": None,
        "keys": keys[:, None, None],
        "causal": causal[None, None],
        "pairs": pairs,
    }


def lean(name, mask=None):
    return lambda q, k, v: attend_lean(
        q, k, v, name, scale=None, mask=mask, dropout_mask=None
    )


def in_function(function, known):
    shapes = [(B, H, n) if known else (None, H, None) for n in (T, S, S)]
    signature = [tf.TensorSpec((*shape, D), tf.float64) for shape in shapes]
    return tf.function(function, input_signature=signature, autograph=False)


@pytest.mark.parametrize("mask", masks())
@pytest.mark.parametrize("name", TYPES[:5])
def test_the_output_equals_the_specification(name, mask):
    q, k, v = arrays()
    mask = masks()[mask]
    expected, _ = reference.attend(q, k, v, name, mask=mask)
    for run in (
        lean(name, mask),
        in_function(lean(name, mask), known=True),
        in_function(lean(name, mask), known=False),
    ):
        assert worst(run(q, k, v), expected) < 1e-13


def arrays():
    return qkv(tokens=T, keys=S)


@pytest.mark.parametrize("mask", masks())
@pytest.mark.parametrize("name", TYPES)
def test_the_gradients_equal_those_of_the_operations(name, mask):
    mask = masks()[mask]
    g = np.random.default_rng(3).normal(size=(B, H, T, D))
    expected = gradients(lambda *x: attend(*x, name, mask=mask)[0] * g, *arrays())
    for run in (lean(name, mask), in_function(lean(name, mask), known=False)):
        found = gradients(lambda *x, run=run: run(*x) * g, *arrays())
        for one, other in zip(found, expected, strict=True):
            assert worst(one, other) < 1e-12


@pytest.mark.parametrize("name", TYPES)
def test_no_more_scores_are_there_at_once_than_a_block_has(name, monkeypatch):
    """And blocks are as large as they may be."""
    seen = []
    softmax = blocks.masked_softmax

    def record(scores, mask, axis):
        seen.append(tuple(scores.shape))
        return softmax(scores, mask, axis)

    monkeypatch.setattr(blocks, "masked_softmax", record)
    gradients(lean(name), *arrays())
    assert seen == [(B, H, 5, S)] * (2 * 5)


@pytest.mark.parametrize("name", TYPES)
def test_nothing_to_attend_from_or_to(name):
    for queries, keys in ((0, S), (T, 0), (0, 0)):
        q, k, v = qkv(tokens=queries, keys=keys)
        for run in (lean(name), in_function(lean(name), known=False)):
            assert np.array_equal(run(q, k, v), np.zeros((B, H, queries, D)))


@pytest.mark.parametrize("name", TYPES)
def test_half_precision_comes_back_as_it_went(name):
    q, k, v = arrays()
    expected, _ = attend(q, k, v, name)
    found = lean(name)(*(x.astype("float16") for x in (q, k, v)))
    assert found.dtype == tf.float16
    assert worst(found, expected) < 1e-2
