import subprocess
import sys

import keras
import numpy as np
import pytest
import reference
import tensorflow as tf
from tools import B, D, H, S, T, gradients, pair_mask, qkv, weekly_but, worst

from diffattn import ATTENTION_TYPES, attend
from diffattn.attention import registry
from diffattn.attention.attend import attend_lean
from diffattn.attention.kernels import sizes
from diffattn.attention.kernels.softmax import weigh
from diffattn.attention.scores import (
    REGISTRY,
    Differential,
    Score,
    dot_products,
    register,
)

MASKS = {
    "none": None,
    "pairs": pair_mask(),
    "all heads": pair_mask()[:, :1],
    "one for the batch": pair_mask()[1, 2],
    "keys": pair_mask()[:, :1, :1],
}


def lean(q, k, v, attention_type, *, scale=None, mask=None, dropout_mask=None):
    """The output as the layer computes it when nobody asks for the weights."""
    return attend_lean(
        q, k, v, attention_type, scale=scale, mask=mask, dropout_mask=dropout_mask
    )


@pytest.mark.parametrize("compiled", [False, True])
@pytest.mark.parametrize("mask", MASKS)
@pytest.mark.parametrize("attention_type", ATTENTION_TYPES)
def test_equals_the_specification(attention_type, mask, compiled):
    q, k, v = qkv()
    output, weights = reference.attend(q, k, v, attention_type, mask=MASKS[mask])
    q, k, v = (x.astype("float32") for x in (q, k, v))
    function = tf.function(attend) if compiled else attend
    found_output, found_weights = function(q, k, v, attention_type, mask=MASKS[mask])
    assert worst(found_output, output) < 1e-5
    assert worst(found_weights, weights) < 1e-5
    assert worst(lean(q, k, v, attention_type, mask=MASKS[mask]), output) < 1e-5


@pytest.mark.parametrize("attention_type", ATTENTION_TYPES)
def test_scale_replaces_the_types_own(attention_type):
    q, k, v = qkv()
    output, _ = reference.attend(q, k, v, attention_type, scale=0.25)
    assert worst(attend(q, k, v, attention_type, scale=0.25)[0], output) < 1e-12
    assert worst(lean(q, k, v, attention_type, scale=0.25), output) < 1e-12


def test_a_mask_of_three_axes_is_one_a_batch_entry():
    q, k, v = qkv()
    mask = pair_mask()[:, 0]
    expected, _ = reference.attend(q, k, v, "l2_norm", mask=mask[:, None])
    assert worst(attend(q, k, v, "l2_norm", mask=mask)[0], expected) < 1e-12
    as_integers = attend(q, k, v, "l2_norm", mask=mask.astype(int))[0]
    assert worst(as_integers, expected) < 1e-12


@pytest.mark.parametrize("attention_type", ATTENTION_TYPES)
def test_a_query_with_nothing_to_attend_to_gives_0_and_finite_gradients(attention_type):
    q, k, v = qkv(dtype="float32")
    mask = np.ones((B, H, T, S), bool)
    mask[:, :, 2] = False
    output, weights = attend(q, k, v, attention_type, mask=mask)
    for x in (output, weights, lean(q, k, v, attention_type, mask=mask)):
        assert worst(x[:, :, 2], np.zeros(x[:, :, 2].shape)) == 0
    for function in (lambda *x, **how: attend(*x, **how)[0], lean):
        for g in gradients(
            lambda q, k, v, f=function: f(q, k, v, attention_type, mask=mask), q, k, v
        ):
            assert np.isfinite(g).all()


@pytest.mark.parametrize("attention_type", ATTENTION_TYPES)
def test_what_the_mask_hides_does_not_matter(attention_type):
    """Beyond a key's own score: the differential ones use its predecessor."""
    q, k, v = qkv()
    mask = np.arange(S)[None] < 6
    output, _ = attend(q, k, v, attention_type, mask=np.repeat(mask, T, 0))
    k[:, :, 6:] = v[:, :, 6:] = 1e3
    changed, _ = attend(q, k, v, attention_type, mask=np.repeat(mask, T, 0))
    assert worst(output, changed) == 0


@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("attention_type", ATTENTION_TYPES)
def test_gradients_equal_finite_differences(attention_type, masked):
    inputs = qkv()
    mask = pair_mask() if masked else None
    direction = np.random.default_rng(2).normal(size=(B, H, T, D))

    def objective(q, k, v):
        return direction * lean(q, k, v, attention_type, mask=mask)

    def plain(q, k, v):
        return direction * attend(q, k, v, attention_type, mask=mask)[0]

    found = gradients(objective, *inputs)
    for one, other in zip(found, gradients(plain, *inputs), strict=True):
        assert worst(one, other) < 1e-12
    rng = np.random.default_rng(3)
    step = 1e-6
    for n, x in enumerate(inputs):
        for flat in rng.choice(x.size, 12, replace=False):
            index = np.unravel_index(flat, x.shape)
            sums = []
            for sign in (1, -1):
                moved = [y.copy() for y in inputs]
                moved[n][index] += sign * step
                output, _ = reference.attend(*moved, attention_type, mask=mask)
                sums.append((direction * output).sum())
            assert abs((sums[0] - sums[1]) / (2 * step) - found[n][index]) < 1e-7


def penalty(function, *inputs):
    """The squared length of the gradient of the function's sum, and its gradient."""
    with tf.GradientTape() as outer:
        outer.watch(inputs)
        with tf.GradientTape() as inner:
            inner.watch(inputs)
            total = tf.reduce_sum(function(*inputs))
        slopes = inner.gradient(total, inputs)
        length = tf.add_n([tf.reduce_sum(tf.square(slope)) for slope in slopes])
    return length, outer.gradient(length, inputs)


def with_tape(function, inputs):
    return penalty(function, *inputs)


def with_tape_in_a_function(function, inputs):
    return tf.function(lambda *x: penalty(function, *x), autograph=False)(*inputs)


def with_tape_about_a_function(function, inputs):
    return penalty(tf.function(function, autograph=False), *inputs)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("how", "few"),
    [
        (with_tape, 2**30),
        (with_tape_in_a_function, 0),
    ],
)
@pytest.mark.parametrize("attention_type", ATTENTION_TYPES)
def test_second_derivatives_equal_finite_differences(
    attention_type, few, how, monkeypatch
):
    monkeypatch.setattr(sizes, "FEW", few)
    inputs = [tf.constant(x) for x in qkv()]
    direction = np.random.default_rng(2).normal(size=(B, H, T, D))

    def objective(q, k, v):
        return direction * lean(q, k, v, attention_type, mask=MASKS["pairs"])

    _, found = how(objective, inputs)
    rng = np.random.default_rng(3)
    for n, x in enumerate(inputs):
        along = rng.normal(size=x.shape)
        lengths = []
        for step in (1e-6, -1e-6):
            moved = [*inputs[:n], x + step * along, *inputs[n + 1 :]]
            slopes = gradients(objective, *(y.numpy() for y in moved))
            lengths.append(sum(np.square(slope).sum() for slope in slopes))
        expected = (lengths[0] - lengths[1]) / 2e-6
        assert abs((found[n].numpy() * along).sum() / expected - 1) < 1e-6


@pytest.mark.slow
@pytest.mark.parametrize(
    ("how", "case"),
    [
        (with_tape_in_a_function, "normal"),
        (with_tape, "small queries"),
        (with_tape_about_a_function, "equal rows"),
    ],
)
@pytest.mark.parametrize("attention_type", ["l1_norm", "l2_norm", "differential"])
def test_second_derivatives_are_the_formulas(attention_type, how, case, monkeypatch):
    """With keys enough for the series, near rows, and distance 0 (padding)."""
    q, k, v = qkv(tokens=43, keys=47)
    if case == "small queries":
        q *= 1e-6
    if case == "equal rows":
        k[:, :, :20] = q[:, :, :20]
    inputs = [tf.constant(x) for x in (q, k, v)]
    direction = np.random.default_rng(2).normal(size=q.shape)

    def objective(q, k, v):
        return direction * lean(q, k, v, attention_type)

    monkeypatch.setattr(sizes, "FEW", 2**30)
    _, expected = penalty(objective, *inputs)
    monkeypatch.setattr(sizes, "FEW", 0)
    _, found = how(objective, inputs)
    for one, other in zip(found, expected, strict=True):
        assert worst(one, other) < 1e-12 * np.abs(other).max()


def test_a_score_of_features_needs_no_output_of_its_own(monkeypatch):
    expected = gradients(lambda *x: lean(*x, "differential") ** 2, *qkv())
    monkeypatch.setattr(Differential, "attend", Score.attend)
    found = gradients(lambda *x: lean(*x, "differential") ** 2, *qkv())
    for one, other in zip(found, expected, strict=True):
        assert worst(one, other) < 1e-12


SIZES = {
    "no batch": (0, 7, 11),
    "no tokens": (2, 0, 0),
    "no queries": (2, 0, 11),
    "no keys": (2, 7, 0),
}


@pytest.mark.parametrize("known", [True, False])
@pytest.mark.parametrize("few", [0, 2**30])
@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("attention_type", ATTENTION_TYPES)
def test_of_nothing_comes_nothing(attention_type, size, few, known, monkeypatch):
    """Output and gradients, when the sizes are known before and when only then."""
    monkeypatch.setattr(sizes, "FEW", few)
    batch, tokens, keys = SIZES[size]
    inputs = [tf.zeros((batch, H, n, D)) for n in (tokens, keys, keys)]

    def both(*inputs):
        with tf.GradientTape() as tape:
            tape.watch(inputs)
            output = lean(*inputs, attention_type)
        return output, tape.gradient(output, inputs)

    if not known:
        signature = [tf.TensorSpec((None, H, None, D))] * 3
        both = tf.function(both, input_signature=signature, autograph=False)
    output, slopes = both(*inputs)
    assert output.shape == (batch, H, tokens, D)
    for slope, x in zip(slopes, inputs, strict=True):
        assert slope.shape == x.shape
        assert not np.asarray(slope).any()


@pytest.mark.parametrize("attention_type", ATTENTION_TYPES)
def test_dropout_multiplies_the_weights_with_and_without_them(attention_type):
    q, k, v = qkv()
    dropout_mask = 2.0 * (np.random.default_rng(4).random((B, H, T, S)) < 0.5)
    _, weights = reference.attend(q, k, v, attention_type)
    if REGISTRY[attention_type].per_feature:
        expected = (weights * dropout_mask[..., None] * v[:, :, None]).sum(3)
    else:
        expected = (weights * dropout_mask) @ v
    output = lean(q, k, v, attention_type, dropout_mask=dropout_mask)
    assert worst(output, expected) < 1e-12
    _, weights = attend(q, k, v, attention_type)
    assert worst(weigh(weights, v, dropout_mask), expected) < 1e-12


@pytest.mark.parametrize("few", [0, sizes.FEW])
@pytest.mark.parametrize("attention_type", ATTENTION_TYPES)
def test_gradients_with_dropout_are_the_definitions(attention_type, few, monkeypatch):
    """By hand without the weights; by TensorFlow through them."""
    monkeypatch.setattr(sizes, "FEW", few)
    rng = np.random.default_rng(5)
    dropout_mask = 2.0 * (rng.random((B, H, T, S)) < 0.5)
    g = rng.normal(size=(B, H, T, D))

    def definition(q, k, v):
        _, weights = attend(q, k, v, attention_type, mask=MASKS["pairs"])
        return weigh(weights, v, dropout_mask)

    masks = {"mask": MASKS["pairs"], "dropout_mask": dropout_mask}
    found = gradients(lambda *x: g * lean(*x, attention_type, **masks), *qkv())
    expected = gradients(lambda *x: g * definition(*x), *qkv())
    for one, other in zip(found, expected, strict=True):
        assert worst(one, other) < 1e-12


@pytest.mark.parametrize("attention_type", ATTENTION_TYPES)
@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_half_precision_survives_large_scores(attention_type, dtype):
    inputs = [tf.cast(30 * x, dtype) for x in qkv()]
    expected, _ = reference.attend(
        *[tf.cast(x, "float64").numpy() for x in inputs], attention_type
    )
    output, weights = attend(*inputs, attention_type)
    assert output.dtype == weights.dtype == dtype
    # Two units in the last place of values up to 128: weights and sums are rounded.
    assert worst(tf.cast(output, "float64"), expected) < 1.0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"attention_type": "dot"}, "Received: attention_type='dot'"),
        ({"mask": np.ones((T, S))}, "mask must be boolean.*dtype float64"),
        ({"mask": np.ones((S, T), bool)}, r"mask of shape \(11, 5\)"),
        ({"mask": np.ones(S, bool)}, r"mask of shape \(11,\)"),
        ({"value": np.ones((B, H, T, D))}, r"value of shape \(2, 3, 5, 7\)"),
        ({"value": np.ones((B, H, S, D), int)}, "value of dtype int64"),
        ({"value": np.ones((B, H, S, 1))}, r"value must have shape \(B, H, S, d\)"),
    ],
)
def test_bad_arguments_are_named(arguments, message):
    names = ("query", "key", "value")
    good = {**dict(zip(names, qkv(), strict=True)), "attention_type": "differential"}
    with pytest.raises(ValueError, match=message):
        attend(**{**good, **arguments})


@pytest.mark.parametrize("attention_type", ATTENTION_TYPES)
def test_batches_of_two_sizes_are_named(attention_type):
    query, key = tf.zeros((2, H, 300, 16)), tf.zeros((3, H, 300, 16))
    with pytest.raises(ValueError, match=r"query of shape \(2, .*key of shape \(3, "):
        lean(query, key, key, attention_type)


STEP = """
import resource, sys
import keras, numpy as np
from diffattn import build_classifier

keras.utils.set_random_seed(0)
model = build_classifier(sys.argv[1])
model.compile("adam", keras.losses.BinaryCrossentropy(from_logits=True))
tokens = np.random.default_rng(0).integers(0, 10_000, (32, 250))
before = [w.copy() for w in model.get_weights()]
model.train_on_batch(tokens, np.arange(32) % 2)
assert all(np.isfinite(w).all() for w in model.get_weights())
assert any((w != b).any() for w, b in zip(model.get_weights(), before))
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6)
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="reads Linux's peak memory")
@pytest.mark.parametrize(
    "attention_type", weekly_but(ATTENTION_TYPES, "l1_norm", "differential")
)
def test_a_documented_training_step_stays_under_6_gb(attention_type):
    """The (B, H, T, S, d) tensor alone would take 4.1 GB, several times over."""
    step = subprocess.run(
        [sys.executable, "-c", STEP, attention_type],
        capture_output=True,
        text=True,
    )
    assert step.returncode == 0, step.stderr
    assert float(step.stdout.split()[-1]) < 6


@pytest.mark.weekly
@pytest.mark.slow
@pytest.mark.parametrize("attention_type", ATTENTION_TYPES)
def test_five_thousand_tokens_give_the_specification_and_finite_gradients(
    attention_type,
):
    rng = np.random.default_rng(0)
    q, k, v = rng.normal(size=(3, 1, 1, 5000, 8)).astype("float32")
    last = q[:, :, -4:]  # the first of these has no predecessor in the reference
    expected, _ = reference.attend(
        *(x.astype(float) for x in (last, k, v)), attention_type
    )
    assert worst(lean(q, k, v, attention_type)[:, :, -3:], expected[:, :, -3:]) < 1e-4
    found = gradients(lambda *qkv: lean(*qkv, attention_type), q, k, v)
    assert all(np.isfinite(g).all() for g in found)


def test_weights_of_a_seventh_score_come_by_registering(monkeypatch):
    """Whatever is in the registry goes the same path."""
    monkeypatch.setattr(registry, "REGISTRY", dict(REGISTRY))

    @register
    class SquaredDotProduct(Score):
        name = "squared_dot_product"
        symmetries = frozenset({"permutation"})

        def __call__(self, query, key, scale):
            return scale * keras.ops.square(dot_products(query, key, 1))

    q, k, v = qkv()
    s = (q @ k.swapaxes(-1, -2)) ** 2
    e = np.exp(s - s.max(-1, keepdims=True))
    expected = e / e.sum(-1, keepdims=True)
    assert worst(attend(q, k, v, "squared_dot_product")[1], expected) < 1e-12
