import math
import re

import numpy as np
import pytest
import reference
from keras import ops
from tools import D, gradients, qkv, worst

from diffattn import ATTENTION_TYPES
from diffattn.attention.attend import attend
from diffattn.attention.scores import (
    REGISTRY,
    score,
)


@pytest.mark.parametrize("scale", [None, 0.37])
@pytest.mark.parametrize("attention_type", ATTENTION_TYPES)
def test_equals_the_specification(attention_type, scale):
    q, k, _ = qkv()
    expected = reference.score(q, k, attention_type, scale)
    found = score(q.astype("float32"), k.astype("float32"), attention_type, scale=scale)
    assert worst(found, expected) < 1e-5
    assert str(found.dtype).endswith("float32'>")


@pytest.mark.parametrize("attention_type", ATTENTION_TYPES)
@pytest.mark.parametrize(
    ("given", "computed"),
    [("float16", "float32"), ("float32", "float32"), ("float64", "float64")],
)
def test_scores_are_float32_at_least(attention_type, given, computed):
    q, k, _ = qkv(dtype=given)
    assert ops.convert_to_numpy(score(q, k, attention_type)).dtype == computed


# The specification's properties, by their number.


def test_1_the_diagonal_is_the_published_product_rule():
    q, k, _ = qkv(keys=5)
    s = ops.convert_to_numpy(score(q, k, "differential"))
    q_old, q_new = q[:, :, :-1], q[:, :, 1:]
    k_old, k_new = k[:, :, :-1], k[:, :, 1:]
    delta = (k_new - k_old) * q_old + (q_new - q_old) * k_new
    for t in range(4):
        assert worst(s[:, :, t + 1, t + 1], delta[:, :, t]) < 1e-12


def test_2_differential_sums_to_differential_sum():
    q, k, _ = qkv()
    per_feature = ops.convert_to_numpy(score(q, k, "differential"))
    assert worst(per_feature.sum(-1), score(q, k, "differentialSum")) < 1e-12


def test_3_summed_down_the_diagonals_it_is_the_dot_product():
    q, k, _ = qkv()
    s = ops.convert_to_numpy(score(q, k, "differentialSum"))
    for i in range(s.shape[2]):
        for j in range(s.shape[3]):
            steps = range(min(i, j) + 1)
            total = sum(s[:, :, i - n, j - n] for n in steps)
            assert worst(total, (q[:, :, i] * k[:, :, j]).sum(-1)) < 1e-12


def test_4_it_is_the_dot_product_less_itself_one_step_on():
    q, k, _ = qkv()
    dot = q @ k.swapaxes(-1, -2)
    shifted = np.zeros_like(dot)
    shifted[:, :, 1:, 1:] = dot[:, :, :-1, :-1]
    assert worst(score(q, k, "differentialSum"), dot - shifted) < 1e-12


def test_5_differential_is_differential_sum_with_one_head_a_feature():
    q, k, v = qkv()
    each = [x.transpose(0, 1, 3, 2).reshape(2, 3 * D, -1, 1) for x in (q, k, v)]
    one_head_each = ops.convert_to_numpy(attend(*each, "differentialSum")[0])
    expected = one_head_each.reshape(2, 3, D, -1).transpose(0, 1, 3, 2)
    assert worst(attend(q, k, v, "differential")[0], expected) < 1e-12


def test_order_aware_are_the_two_differential_types():
    aware = [name for name in ATTENTION_TYPES if REGISTRY[name].order_aware]
    assert aware == reference.DIFFERENTIAL


def test_9_gradients_are_finite_at_distance_0_and_at_vector_0():
    same = np.ones((1, 1, 3, D), "float32")
    for attention_type in ("l1_norm", "l2_norm"):
        for g in gradients(lambda q, k, t=attention_type: score(q, k, t), same, same):
            assert np.isfinite(g).all()
    q, k, _ = qkv(dtype="float32")
    q[0, 0, 0] = k[1, 1, 1] = 0
    for g in gradients(lambda q, k: score(q, k, "cosine_similarity"), q, k):
        assert np.isfinite(g).all()
        assert np.abs(g).max() < 100
    assert worst(score(q, k, "cosine_similarity")[0, 0, 0], np.zeros(11)) == 0


def test_l2_norm_keeps_its_digits_for_near_vectors_far_from_0():
    rng = np.random.default_rng(0)
    q = (100 + rng.normal(size=(1, 1, 5, D))).astype("float32")
    k = (q + 1e-3 * rng.normal(size=q.shape)).astype("float32")
    expected = reference.score(q, k, "l2_norm")
    assert worst(score(q, k, "l2_norm") / expected, np.ones((1, 1, 5, 5))) < 1e-5


#: The variance of a score with the scale 1, for standard normal queries and keys.
VARIANCES = {
    "scaled_dot_product": lambda d: d,
    "cosine_similarity": lambda d: 1 / d,
    # A difference has the variance 2; its amount has the mean 2/√π.
    "l1_norm": lambda d: d * (2 - 4 / math.pi),
    # √2 times a chi variable of d degrees of freedom.
    "l2_norm": lambda d: 2 * d - 4 * math.exp(
        2 * (math.lgamma((d + 1) / 2) - math.lgamma(d / 2))
    ),
    "differentialSum": lambda d: 2 * d,
    "differential": lambda d: 2,
}  # fmt: skip
#: What the last column of the docstring's table says.
SCALES = {
    "1/√d": lambda d: d**-0.5,
    "√d": lambda d: d**0.5,
    "1/√((2 − 4/π) d)": lambda d: (d * (2 - 4 / math.pi)) ** -0.5,
    "1, to 2%": lambda d: 1,
    "1/√(2d)": lambda d: (2 * d) ** -0.5,
    "1/√2": lambda d: 2**-0.5,
}


def table_of_spreads():
    """The docstring's table: from a score's name to its row."""
    rows = re.findall(r"^ *``(\w+)``((?: +[\d.]+){4})  (.*)$", score.__doc__, re.M)
    return {name: (numbers.split(), scale) for name, numbers, scale in rows}


def normal_scores(attention_type, dim, scale=None):
    """Scores of many standard normal queries and keys, none of them a first token."""
    q, k = np.random.default_rng(dim).normal(size=(2, 20, 4, 26, dim))
    s = reference.score(q, k, attention_type, scale)
    return s[:, :, 1:, 1:]


@pytest.mark.parametrize("attention_type", ATTENTION_TYPES)
def test_the_table_of_spreads_is_computed_and_measured(attention_type):
    printed, scale = table_of_spreads()[attention_type]
    variance, balance = VARIANCES[attention_type], SCALES[scale]
    assert len(printed) == 4
    for dim, number in zip((8, 16, 32, 64), printed, strict=True):
        own = REGISTRY[attention_type].default_scale(dim)
        assert number == f"{own * math.sqrt(variance(dim)):.2f}"
        assert abs(balance(dim) * math.sqrt(variance(dim)) - 1) < 0.02
    for dim in (8, 64):
        measured = normal_scores(attention_type, dim).std()
        own = REGISTRY[attention_type].default_scale(dim)
        assert abs(measured / (own * math.sqrt(variance(dim))) - 1) < 0.03


@pytest.mark.parametrize("coefficient", [0.5, 1.0, -3.0])
def test_the_spread_of_the_family_follows_its_coefficient(coefficient):
    q, k = np.random.default_rng(0).normal(size=(2, 20, 4, 26, 8))
    for name, factor in (("differentialSum", 8), ("differential", 1)):
        s = score(q, k, f"{name}(coefficient={coefficient})")
        measured = ops.convert_to_numpy(s)[:, :, 1:, 1:].std()
        assert abs(measured / math.sqrt(factor * (1 + coefficient**2)) - 1) < 0.03


@pytest.mark.parametrize("attention_type", ["l1_norm", "l2_norm"])
def test_a_quarter_of_the_distances_variance_is_common_to_the_keys(attention_type):
    for dim in (8, 64):
        s = normal_scores(attention_type, dim)
        assert 0.68 < s.var(axis=3).mean() / s.var() < 0.82


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"attention_type": "softmax"}, "l1_norm, l2_norm, differentialSum, diff"),
        ({"attention_type": "softmax"}, "Received: attention_type='softmax'"),
        ({"attention_type": ["l2_norm"]}, r"Received: attention_type=\['l2_norm'\]"),
        ({"scale": float("nan")}, "scale must be a finite number.*scale=nan"),
        ({"scale": "1"}, "scale must be a finite number.*scale='1'"),
        ({"query": np.zeros((2, 3, 5, 8))}, r"query of shape \(2, 3, 5, 8\)"),
        ({"query": np.zeros((3, 5, 7))}, r"query of shape \(3, 5, 7\)"),
        ({"key": np.zeros((2, 3, 5, 7), int)}, "key of dtype int64"),
    ],
)
def test_bad_arguments_are_named(arguments, message):
    good = {"query": qkv()[0], "key": qkv()[1], "attention_type": "l2_norm"}
    with pytest.raises(ValueError, match=message):
        score(**{**good, **arguments})
