"""TensorFlow, JAX and PyTorch compute the same; so do XLA and several devices."""

from itertools import product

import backend_case
import keras
import numpy as np
import pytest
import reference
import tensorflow as tf
from tools import BACKENDS, finder, run, weekly_but, weekly_unless, worst

from diffattn import ATTENTION_TYPES, CustomMultiheadAttention
from diffattn.attention.kernels import sizes

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def expected():
    """The layer in NumPy and float64, by the specification."""
    given = {
        name: x.astype("float64") if x.dtype.kind == "f" else x
        for name, x in backend_case.inputs().items()
    }
    weights = [given[f"weight{n}"] for n in range(8)]

    def heads(n):
        x = given["x"] @ weights[2 * n] + weights[2 * n + 1]
        return x.reshape(*x.shape[:2], backend_case.HEADS, -1).swapaxes(1, 2)

    def output(attention_type, masked):
        q, k, v = heads(0), heads(1), heads(2)
        mask = None
        if masked:
            real = given["mask"][:, None, :, None]
            q, k, v = q * real, k * real, v * real
            mask = real & real.swapaxes(2, 3)
        o, _ = reference.attend(q, k, v, attention_type, mask=mask)
        o = o.swapaxes(1, 2).reshape(*given["x"].shape[:2], -1)
        return o @ weights[6] + weights[7]

    return output


@pytest.fixture(scope="module")
def found(request, tmp_path_factory):
    """What each backend finds; TensorFlow the truth, too, where terms are few."""

    def asked(backend, test):
        sizes = {test["size"]} if test.get("backend") == backend else set()
        if backend == "tensorflow" and "backend" in test:
            sizes.add("few")
        for size in sizes:
            yield backend_case.key(test["attention_type"], size, test["masked"])

    folder = tmp_path_factory.mktemp("backends")
    return finder("backend_case.py", request, folder, asked)


def backends_and_sizes(*backends):
    """Where terms are few, JAX differentiates the formula: this is tried weekly."""
    return pytest.mark.parametrize(
        ("backend", "size"),
        weekly_unless(
            lambda *case: case != ("jax", "few"),
            product(backends, backend_case.TOLD_APART),
        ),
    )


@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("attention_type", ATTENTION_TYPES)
@backends_and_sizes(*BACKENDS)
def test_outputs_and_gradients_agree(
    backend, attention_type, size, masked, found, expected
):
    name = backend_case.key(attention_type, size, masked)
    output = found(backend)[f"{name} output"]
    assert worst(output, expected(attention_type, masked)) < 1e-5
    if (backend, size) == ("tensorflow", "few"):
        return
    # The gradient's truth is what TensorFlow's autodiff finds for the formula
    # written down; that one is held to finite differences in test_attention.
    for of in ("gradient", "second"):
        truth = found("tensorflow")[f"{name.replace('many', 'few')} {of}"]
        error = 1e-5 * max(1, np.abs(truth).max())
        assert worst(found(backend)[f"{name} {of}"], truth) < error


@pytest.mark.parametrize("masked", [True])
@pytest.mark.parametrize("attention_type", backend_case.RELATIVES)
@backends_and_sizes("jax", "torch")
def test_relatives_agree(backend, attention_type, size, masked, found):
    # TensorFlow's truth is held to the formula in test_family and test_rivals.
    for of in backend_case.RESULTS:
        truth_key, key = (
            backend_case.key(attention_type, n, masked) for n in ("few", size)
        )
        truth = found("tensorflow")[f"{truth_key} {of}"]
        result = found(backend)[f"{key} {of}"]
        assert worst(result, truth) < 1e-5 * max(1, np.abs(truth).max())


@pytest.mark.parametrize("attention_type", ATTENTION_TYPES)
def test_xla_computes_the_same(attention_type, monkeypatch):
    monkeypatch.setattr(sizes, "FEW", 0)
    given = backend_case.inputs()
    layer = CustomMultiheadAttention(
        backend_case.EMBED_DIM, backend_case.HEADS, attention_type=attention_type
    )
    x = tf.constant(given["x"])
    layer(x)

    def both(x):
        with tf.GradientTape() as tape:
            tape.watch(x)
            total = tf.reduce_sum(layer(x) * given["upstream"])
        return total, tape.gradient(total, [x, *layer.trainable_variables])

    value, gradients = tf.function(both)(x)
    compiled_value, compiled_gradients = tf.function(both, jit_compile=True)(x)
    assert abs(value - compiled_value) < 1e-4
    for one, other in zip(gradients, compiled_gradients, strict=True):
        assert worst(one, other) < 1e-4


@pytest.mark.parametrize(
    "attention_type",
    weekly_but(["l1_norm", "l2_norm", "differential"], "differential"),
)
def test_two_devices_train_to_the_same_losses_as_one(attention_type):
    one, two = (
        [float(x) for x in run("devices_case.py", attention_type, n).split()]
        for n in ("1", "2")
    )
    assert one[0] > one[-1]
    np.testing.assert_allclose(one, two, rtol=1e-5)


@pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16"])
@pytest.mark.parametrize("size", backend_case.TOLD_APART)
@pytest.mark.parametrize("attention_type", ATTENTION_TYPES)
def test_mixed_precision_is_finite_on_hard_inputs(
    attention_type, size, policy, monkeypatch
):
    """Large inputs, equal tokens and empty ones; forward and backward."""
    monkeypatch.setattr(sizes, "FEW", backend_case.TOLD_APART[size])
    layer = CustomMultiheadAttention(
        backend_case.EMBED_DIM,
        backend_case.HEADS,
        attention_type=attention_type,
        dtype=keras.DTypePolicy(policy),
    )
    x = 30 * backend_case.inputs()["x"]
    x[0, :10], x[1, 10:20] = x[0, 0], 0
    x = tf.constant(x)
    with tf.GradientTape() as tape:
        tape.watch(x)
        output = layer(x)
        total = tf.reduce_mean(output)
    assert output.dtype == layer.compute_dtype
    for found in (output, *tape.gradient(total, [x, *layer.trainable_variables])):
        assert np.isfinite(tf.cast(found, "float32")).all()
