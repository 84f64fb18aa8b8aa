"""What a mask hides counts as nothing: in outputs, weights and gradients."""

import warnings

import keras
import masks_case
import numpy as np
import pytest
import reference
import tensorflow as tf
from tools import BACKENDS, finder, gradients, weekly_unless, worst

from diffattn import ATTENTION_TYPES, CustomMultiheadAttention, build_classifier
from diffattn.attention import layer as layers
from diffattn.names import MODEL_TYPES
from diffattn.training.layers import MeanOverTokens

pytestmark = pytest.mark.slow

#: How near results and slopes are to the specification, in the dtype computed in.
TOLERANCES = {"float64": (1e-12, 1e-6), "float32": (1e-5, 1e-4)}


def tolerances(backend):
    return TOLERANCES[masks_case.DTYPES[backend]]


def split(x):
    """(tokens, embed_dim) to (1, heads, tokens, head_dim)."""
    return x.reshape(1, len(x), masks_case.HEADS, -1).swapaxes(1, 2)


def layer_without_padding(call, attention_type, given, weights):
    """Output and weights of the layer by the specification, from the real tokens.

    Padding is cut away first, so that it has no part in what is computed.
    """
    real = masks_case.REAL[call]
    batch, tokens, embed_dim = masks_case.BATCH, masks_case.TOKENS, masks_case.EMBED_DIM
    queries = real["query"]
    keys = real["key"] & real["value"] if "key" in real else queries
    output = np.zeros((batch, tokens, embed_dim))
    shape = batch, masks_case.HEADS, tokens, keys.shape[1]
    if attention_type == "differential":
        shape = (*shape, masks_case.HEAD_DIM)
    attention = np.zeros(shape)
    for b in range(batch):
        i, j = np.flatnonzero(queries[b]), np.flatnonzero(keys[b])
        x = given["query"][b, i]
        value = given["value"][b, j] if "value" in given else x
        key = given["key"][b, j] if "key" in given else value
        q, k, v = (
            split(z @ weights[2 * n] + weights[2 * n + 1])
            for n, z in enumerate((x, key, value))
        )
        o, a = reference.attend(q, k, v, attention_type)
        output[b, i] = o.swapaxes(1, 2).reshape(len(i), embed_dim)
        attention[b][:, i[:, None], j] = a[0]
    return output @ weights[6] + weights[7], attention


def weighted_sum(*results):
    """The sum of the results, each with its weights, as `masks_case` takes it."""
    return sum((x * masks_case.upstream(*x.shape)).sum() for x in results)


def slopes_by_differences(total, arrays, directions):
    """The slope of `total` along each direction, one array at a time."""
    step = 1e-6
    slopes = []
    for n, direction in enumerate(directions):
        sums = [
            total(*arrays[:n], arrays[n] + sign * step * direction, *arrays[n + 1 :])
            for sign in (1, -1)
        ]
        slopes.append((sums[0] - sums[1]) / (2 * step))
    return slopes


def directions(arrays):
    rng = np.random.default_rng(7)
    return [rng.normal(size=x.shape) for x in arrays]


@pytest.fixture(scope="module")
def expected_of_layer():
    """Results and slopes of a call, computed once."""
    known = {}

    def of(call, attention_type, with_weights):
        name = call, attention_type, with_weights
        if name not in known:
            given, weights = masks_case.inputs(call), masks_case.weights(call)

            def results(*arrays):
                named = dict(zip(given, arrays, strict=False))
                found = layer_without_padding(
                    call, attention_type, named, arrays[len(given) :]
                )
                return found if with_weights else found[:1]

            arrays = [*given.values(), *weights]
            slopes = slopes_by_differences(
                lambda *arrays: weighted_sum(*results(*arrays)),
                arrays,
                directions(arrays),
            )
            known[name] = results(*arrays), slopes
        return known[name]

    return of


@pytest.fixture(scope="module")
def found(request, tmp_path_factory):
    """What each backend finds."""

    def asked(backend, test):
        if test.get("backend") == backend:
            names = "attention_type", "size", "call", "with_weights"
            yield masks_case.key(*(test[name] for name in names))

    folder = tmp_path_factory.mktemp("masks")
    return finder("masks_case.py", request, folder, asked)


# JAX compiles each operation for itself; where terms are few, these are the formula's.
@pytest.mark.parametrize("call", masks_case.CALLS)
@pytest.mark.parametrize("attention_type", ATTENTION_TYPES)
@pytest.mark.parametrize(
    ("backend", "size", "with_weights"),
    weekly_unless(
        lambda backend, size, _: (backend, size) != ("jax", "few"),
        ((backend, *way) for backend in BACKENDS for way in masks_case.WAYS),
    ),
)
def test_nan_in_padding_counts_as_nothing(
    backend, attention_type, size, call, with_weights, found, expected_of_layer
):
    of_backend, (near, near_slope) = found(backend), tolerances(backend)
    results, slopes = expected_of_layer(call, attention_type, with_weights)
    name = masks_case.key(attention_type, size, call, with_weights)
    for n, expected in enumerate(results):
        result = of_backend[f"{name} result {n}"]
        assert worst(result, expected) < near
    real = masks_case.REAL[call]
    arrays = [*masks_case.inputs(call).values(), *masks_case.weights(call)]
    for n, (slope, along) in enumerate(zip(slopes, directions(arrays), strict=True)):
        gradient = of_backend[f"{name} gradient {n}"]
        if n < len(real):
            hidden = ~list(real.values())[n]
            assert not gradient[hidden].any()
        assert abs((gradient * along).sum() - slope) < near_slope * max(1, abs(slope))


# Shapes that differ from each other, so that no mask fits the wrong argument.
BATCH, TOKENS, KEYS, FEATURES = 2, 5, 7, 3
LENGTHS = {"mask": TOKENS, "query_mask": TOKENS, "value_mask": KEYS, "key_mask": KEYS}


def two_inputs():
    rng = np.random.default_rng(0)
    shapes = (BATCH, TOKENS, FEATURES), (BATCH, KEYS, FEATURES)
    return [rng.normal(size=shape).astype("float32") for shape in shapes]


@pytest.mark.parametrize("kind", [list, "int64", "uint8"])
@pytest.mark.parametrize("name", [*LENGTHS, "attention_mask"])
def test_a_mask_may_be_a_list_or_integers(name, kind):
    layer = CustomMultiheadAttention(4, 2)
    shape = (BATCH, LENGTHS[name]) if name in LENGTHS else (BATCH, TOKENS, KEYS)
    mask = np.random.default_rng(1).random(shape) < 0.5
    given = mask.tolist() if kind is list else mask.astype(kind)
    expected = layer(*two_inputs(), **{name: mask})
    assert worst(layer(*two_inputs(), **{name: given}), expected) == 0
    assert worst(layer(*two_inputs()), expected) > 1e-3


def test_one_padding_mask_may_serve_the_whole_batch():
    layer = CustomMultiheadAttention(4, 2)
    mask = np.array([[True, False, True, True, False, True, True]])
    expected = layer(*two_inputs(), key_mask=np.repeat(mask, BATCH, 0))
    assert worst(layer(*two_inputs(), key_mask=mask), expected) == 0


def bad_masks(length):
    """Masks for (BATCH, length) that are wrong, and what the error says of them."""
    right = np.ones((BATCH, length), bool)
    return {
        "one axis more": (right[..., None], rf"of shape \(2, {length}, 1\)"),
        "one axis": (right[0], rf"of shape \({length},\)"),
        "none": (np.array(True), r"of shape \(\)"),
        "too short": (right[:, 1:], rf"of shape \(2, {length - 1}\)"),
        "one token": (right[:, :1], r"of shape \(2, 1\)"),
        "another batch": (np.ones((3, length), bool), rf"of shape \(3, {length}\)"),
        "transposed": (right.T, rf"of shape \({length}, 2\)"),
        "floats": (right.astype("float32"), "of dtype float32"),
        "list of floats": (right.astype(float).tolist(), "of dtype float32"),
        "list of one axis": ([True] * length, rf"of shape \({length},\)"),
        "ragged": ([[True], [True, False]], r"=\[\[True\], \[True, False\]\]"),
        "no mask": ({"a": True}, "=.*'a'.*True"),
    }


@pytest.mark.parametrize("wrong", bad_masks(TOKENS))
@pytest.mark.parametrize("name", LENGTHS)
def test_a_padding_mask_that_does_not_fit_is_named(name, wrong):
    layer = CustomMultiheadAttention(4, 2)
    mask, message = bad_masks(LENGTHS[name])[wrong]
    with pytest.raises(ValueError, match=rf"{name} must .*Received: {name} ?{message}"):
        layer(*two_inputs(), **{name: mask})


@pytest.mark.parametrize("wrong", bad_masks(TOKENS))
@pytest.mark.parametrize("data_format", ["channels_last", "channels_first"])
def test_a_mask_that_does_not_fit_the_mean_is_named(data_format, wrong):
    x, _ = two_inputs()
    if data_format == "channels_first":
        x = x.swapaxes(1, 2)
    mask, message = bad_masks(TOKENS)[wrong]
    with pytest.raises(ValueError, match=rf"mask must .*Received: mask ?{message}"):
        MeanOverTokens(data_format=data_format)(x, mask=mask)


@pytest.mark.parametrize("name", ["value_mask", "key_mask"])
def test_the_mask_of_a_tensor_left_out_fits_what_stands_in(name):
    x, _ = two_inputs()
    with pytest.raises(ValueError, match=rf"{name} must .* = \(2, 5\)"):
        CustomMultiheadAttention(4, 2)(x, **{name: np.ones((BATCH, KEYS), bool)})


def test_an_attention_mask_that_is_no_tensor_is_named():
    with pytest.raises(
        ValueError, match=r"attention_mask must be.*=\[\[True\], \[\]\]"
    ):
        CustomMultiheadAttention(4, 2)(*two_inputs(), attention_mask=[[True], []])


@pytest.mark.parametrize("attention_type", ATTENTION_TYPES)
def test_a_model_takes_its_masks_as_inputs(attention_type):
    layer = CustomMultiheadAttention(4, 2, attention_type=attention_type)
    x, y = two_inputs()
    masks = {
        "query_mask": np.arange(TOKENS) < np.array([[3], [5]]),
        "key_mask": np.arange(KEYS) < np.array([[7], [4]]),
        "attention_mask": np.random.default_rng(1).random((BATCH, TOKENS, KEYS)) < 0.5,
    }
    symbols = {
        name: keras.Input(mask.shape[1:], dtype="bool") for name, mask in masks.items()
    }
    inputs = [keras.Input((None, FEATURES)), keras.Input((None, FEATURES))]
    model = keras.Model([*inputs, *symbols.values()], layer(*inputs, **symbols))
    found = model([x, y, *masks.values()])
    assert worst(found, layer(x, y, **masks)) < 1e-6
    of_known_lengths = [keras.Input(z.shape[1:]) for z in (x, y)]
    for name, symbol in (
        ("query_mask", keras.Input((TOKENS, 1), dtype="bool")),
        ("key_mask", keras.Input((TOKENS,), dtype="bool")),
        ("value_mask", keras.Input((KEYS,), dtype="float32")),
        ("attention_mask", keras.Input((KEYS, TOKENS), dtype="bool")),
    ):
        with pytest.raises(ValueError, match=f"Received: {name} of "):
            layer(*of_known_lengths, **{name: symbol})


def test_the_mean_takes_its_mask_as_an_input():
    x, _ = two_inputs()
    mask = np.arange(TOKENS) < np.array([[3], [5]])
    inputs = keras.Input((None, FEATURES)), keras.Input((None,), dtype="bool")
    model = keras.Model(inputs, MeanOverTokens()(inputs[0], mask=inputs[1]))
    expected = np.stack([x[0, :3].mean(0), x[1].mean(0)])
    assert worst(model([x, mask]), expected) < 1e-6


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_the_mean_has_no_gradient_by_what_is_masked(bad):
    x, _ = two_inputs()
    mask = np.arange(TOKENS) < np.array([[3], [5]])
    x[~mask] = bad
    (found,) = gradients(lambda x: MeanOverTokens()(x, mask=mask), x)
    expected = np.broadcast_to((mask / mask.sum(1, keepdims=True))[..., None], x.shape)
    assert worst(found, expected) < 1e-6


@pytest.mark.parametrize("positions", [False, True])
@pytest.mark.parametrize("attention_type", MODEL_TYPES)
def test_a_classifier_learns_the_same_whatever_padding_is(attention_type, positions):
    """Its gradients are the mean of those of the single texts without padding."""
    model = build_classifier(
        attention_type,
        embed_dim=6,
        num_heads=2,
        vocabulary_size=11,
        sequence_length=None,
        positional_encoding=positions,
        mask_padding=True,
        seed=1,
    )
    texts = np.array([[3, 1, 4, 1, 0, 0], [5, 9, 2, 6, 5, 3], [8, 0, 0, 0, 0, 0]])
    labels = np.array([[1.0], [0.0], [1.0]])
    loss = keras.losses.BinaryCrossentropy(from_logits=True)

    def slopes(texts, labels):
        with tf.GradientTape() as tape:
            value = loss(labels, model(texts))
        return [np.asarray(g) for g in tape.gradient(value, model.trainable_variables)]

    single = [
        slopes(text[None, text > 0], label[None])
        for text, label in zip(texts, labels, strict=True)
    ]
    expected = [np.mean(parts, axis=0) for parts in zip(*single, strict=True)]
    table = model.get_layer("embedding").embeddings
    table.assign(np.where(np.arange(12)[:, None] == 0, np.nan, table.numpy()))
    for one, other in zip(slopes(texts, labels), expected, strict=True):
        assert worst(one, other) < 1e-6


@pytest.mark.parametrize("attention_type", ATTENTION_TYPES)
def test_padding_too_large_for_half_precision_counts_as_nothing(attention_type):
    """What float16 cannot hold is infinite once it is cast."""
    layer = CustomMultiheadAttention(
        4, 2, attention_type=attention_type, dtype="mixed_float16"
    )
    x, _ = two_inputs()
    mask = np.arange(TOKENS) < np.array([[3], [5]])
    layer.build(x.shape)

    def slopes(x):
        with tf.GradientTape() as tape:
            total = tf.reduce_sum(layer(x, query_mask=mask) ** 2)
        return tape.gradient(total, layer.trainable_variables)

    x[~mask] = 0
    expected = slopes(x)
    x[~mask] = 1e30
    for one, other in zip(slopes(x), expected, strict=True):
        assert worst(one, other) == 0


@pytest.mark.parametrize("attention_type", ATTENTION_TYPES)
def test_padding_masks_leave_the_lean_paths_open(attention_type, monkeypatch):
    """A mask of keys stays one of keys, and does not become one of pairs."""
    shapes = []
    attend_lean = layers.attend_lean

    def noted(*given, mask, **options):
        shapes.append(None if mask is None else tuple(mask.shape))
        return attend_lean(*given, mask=mask, **options)

    monkeypatch.setattr(layers, "attend_lean", noted)
    layer = CustomMultiheadAttention(4, 2, attention_type=attention_type)
    x, y = two_inputs()
    layer(x, y)
    layer(
        x,
        y,
        query_mask=np.ones((BATCH, TOKENS), bool),
        value_mask=np.ones((BATCH, KEYS), bool),
    )
    assert shapes == [None, (BATCH, 1, 1, KEYS)]


@pytest.mark.parametrize("attention_type", reference.DIFFERENTIAL)
def test_one_query_of_a_differential_score_warns(attention_type):
    layer = CustomMultiheadAttention(
        4, 2, attention_type=attention_type, name="decoder", use_bias=False
    )
    x, y = two_inputs()
    told = rf"decoder: .* no predecessor.*{attention_type} scores with 7 keys"
    with pytest.warns(UserWarning, match=told):
        found = layer(x[:, :1], y)
    with pytest.warns(UserWarning, match=told):
        layer(keras.Input((1, FEATURES)), keras.Input((KEYS, FEATURES)))
    with pytest.warns(UserWarning, match=told):
        tf.function(layer)(x[:, :1], y)
    # What it says is so: Σ_c q_c k_jc, or q_c k_jc by itself.
    w_q, w_k, w_v, w_o = (w.numpy().astype("float64") for w in layer.weights)
    q = (x[:, :1] @ w_q).reshape(BATCH, 1, 2, 2).transpose(0, 2, 1, 3)
    k, v = (
        (y @ w).reshape(BATCH, KEYS, 2, 2).transpose(0, 2, 1, 3) for w in (w_k, w_v)
    )
    products = q[:, :, :, None] * k[:, :, None]
    if attention_type == "differentialSum":
        products = products.sum(-1, keepdims=True)
    weights = np.exp(products) / np.exp(products).sum(3, keepdims=True)
    output = (weights * v[:, :, None]).sum(3)
    expected = output.transpose(0, 2, 1, 3).reshape(BATCH, 1, 4) @ w_o
    assert worst(found, expected) < 1e-6


@pytest.mark.parametrize("attention_type", ATTENTION_TYPES)
def test_nothing_warns_where_no_predecessor_is_missed(attention_type):
    layer = CustomMultiheadAttention(4, 2, attention_type=attention_type)
    x, y = two_inputs()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        layer(x, y)
        layer(x, x[:, :1])
        layer(x[:, :1])
        layer(x[:, :1], use_causal_mask=True)
        layer(keras.Input((1, FEATURES)), keras.Input((None, FEATURES)))
        layer(keras.Input((None, FEATURES)), keras.Input((KEYS, FEATURES)))
        if attention_type in reference.ORDER_BLIND:
            layer(x[:, :1], y)
