"""Packed segments are the segments apart; rotary positions, and what stays relative."""

import keras
import numpy as np
import pytest
import reference
import tensorflow as tf
from decoding_case import (
    BATCH,
    EMBED,
    FEATURES,
    HEADS,
    KINDS,
    TOKENS,
    ByPlace,
    Cubed,
    Undeclared,
    inputs,
    make,
)
from tools import H, qkv, worst

from diffattn import ATTENTION_TYPES, CustomMultiheadAttention, attend
from diffattn.attention.places import Places, places_in_segments, rotate
from diffattn.attention.scores import REGISTRY, score

#: A packed row for each batch entry; 0 is a segment as any other.
IDS = np.array([[0, 0, 0, 7, 7, 7, 7, 7, 7], [3, 3, 0, 0, 0, 0, 5, 6, 6]])
SEGMENTS = [(0, 0, 3), (0, 3, 9), (1, 0, 2), (1, 2, 6), (1, 6, 7), (1, 7, 9)]


@pytest.fixture
def x():
    return inputs()


def apart(layer, x, **options):
    """The layer's outputs for each segment by itself, put together."""
    rows = [[], []]
    for entry, start, end in SEGMENTS:
        rows[entry].append(layer(x[entry : entry + 1, start:end], **options))
    return tf.concat([tf.concat(row, axis=1) for row in rows], axis=0)


def value_and_gradients(layer, x, compute):
    x = tf.constant(x)
    with tf.GradientTape() as tape:
        tape.watch(x)
        output = compute(x)
        total = tf.reduce_sum(output**2)
    return [output, *tape.gradient(total, [x, *layer.trainable_variables])]


@pytest.mark.parametrize("kind", KINDS)
def test_packed_segments_and_their_gradients_are_those_apart(kind, x):
    layer, x = make(kind, dtype="float64"), x.astype("float64")
    packed = value_and_gradients(layer, x, lambda x: layer(x, segment_ids=IDS))
    expected = value_and_gradients(layer, x, lambda x: apart(layer, x))
    for one, other in zip(packed, expected, strict=True):
        assert worst(one, other) < 1e-11 * max(1, np.abs(other).max())


@pytest.mark.parametrize(
    "kind", ["l1_norm", "differential(lag=(2, 1))", "differentialSum", "multi_token"]
)
@pytest.mark.parametrize("causal", [False, True, "lower_right"])
def test_segments_may_be_causal_and_have_rotary_positions(kind, causal, x):
    layer = make(kind, rotary_base=10.0)
    found = layer(x, segment_ids=IDS, use_causal_mask=causal)
    assert worst(found, apart(layer, x, use_causal_mask=causal)) < 1e-5


@pytest.mark.parametrize("attention_type", ATTENTION_TYPES)
def test_a_packed_row_is_the_specification_for_each_segment(attention_type, x):
    layer = make(attention_type, dtype="float64")
    x = x.astype("float64")
    found = layer(x, segment_ids=IDS).numpy()
    weights = [w.numpy() for w in layer.weights]
    for entry, start, end in SEGMENTS:
        alone = x[entry : entry + 1, start:end]
        expected = reference.multi_head(weights, alone, alone, HEADS, attention_type)
        assert worst(found[entry : entry + 1, start:end], expected) < 1e-12


@pytest.mark.parametrize("kind", ["l2_norm", "differentialSum(lag=2)", "differential"])
def test_nothing_of_another_segment_has_a_part(kind, x):
    layer = make(kind)
    output, weights = layer(x, segment_ids=IDS, return_attention_scores=True)
    is_same = IDS[:, None, :, None] == IDS[:, None, None, :]
    weights = np.asarray(weights)
    assert not weights[
        ~np.broadcast_to(is_same[..., *[None] * (weights.ndim - 4)], weights.shape)
    ].any()
    changed = x.copy()
    changed[:, 7:] += 100
    after = layer(changed, segment_ids=IDS)
    assert worst(output[1, :7], after[1, :7]) == 0
    assert worst(output[1, 7:], after[1, 7:]) > 1e-3


def test_one_row_of_ids_is_for_the_whole_batch_and_padding_is_a_mask(x):
    layer = make("differentialSum(lag=2)")
    both = np.broadcast_to(IDS[:1], IDS.shape)
    assert worst(layer(x, segment_ids=IDS[:1]), layer(x, segment_ids=both)) < 1e-6
    real = np.arange(TOKENS) < np.array([[8], [6]])
    found = layer(x, segment_ids=IDS, query_mask=real)
    for entry, start, end in SEGMENTS:
        end = min(end, (8, 6)[entry])
        if start < end:
            alone = layer(x[entry : entry + 1, start:end])
            assert worst(found[entry : entry + 1, start:end], alone) < 1e-5


def test_a_model_takes_segments_as_an_input(x):
    parts = keras.Input((None, FEATURES)), keras.Input((None,), dtype="int32")
    layer = make("differential")
    model = keras.Model(parts, layer(parts[0], segment_ids=parts[1]))
    assert worst(model([x, IDS]), apart(layer, x)) < 1e-5


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (IDS.astype("float32"), "segment_ids must be integers.*float32"),
        (IDS[:, :4], r"\(2, 9\).*shape \(2, 4\)"),
        (IDS[0], r"shape \(9,\)"),
        (np.zeros((3, TOKENS), int), r"shape \(3, 9\)"),
    ],
)
def test_bad_segments_are_named(given, message, x):
    with pytest.raises(ValueError, match=message):
        make("differential")(x, segment_ids=given)
    with pytest.raises(ValueError, match=r"same tokens as query and key.*9 queries, 4"):
        make("differential")(x, x[:, :4], segment_ids=IDS)


def test_a_score_that_would_look_across_the_border_is_refused(x):
    for kind, message in (
        (Cubed, "Cubed looks 2 tokens back, across the border.*uses_places"),
        (Undeclared, "Undeclared sees the order of tokens and must declare"),
    ):
        with pytest.raises(ValueError, match=message):
            make(kind())(x, segment_ids=IDS)
    make(ByPlace())(x, segment_ids=IDS)  # it declares that it looks itself


def test_places_begin_anew_in_each_segment():
    expected = [[0, 1, 2, 0, 1, 2, 3, 4, 5], [0, 1, 0, 1, 2, 3, 0, 0, 1]]
    found = places_in_segments(keras.ops.convert_to_tensor(IDS, "int32"))
    assert np.asarray(found).tolist() == expected


# Rotary positions and biases.

#: The scores that a common rotation leaves as they are.
RELATIVE = [name for name in REGISTRY if "rotation" in REGISTRY[name].symmetries]
EVEN = 6


def alike(tokens=7):
    """The same query at every place, and the same key."""
    rng = np.random.default_rng(0)
    one, other = rng.normal(size=(2, 1, H, 1, EVEN))
    repeated = np.repeat(one, tokens, axis=2), np.repeat(other, tokens, axis=2)
    places = np.arange(tokens, dtype="int32")
    return [np.asarray(rotate(z, places, 10.0)) for z in repeated]


def spread_along_diagonals(s):
    """How much a score changes where i − j stays, away from the first token."""
    s = np.asarray(s)[:, :, 1:, 1:]
    return max(
        np.ptp(np.diagonal(s, n, axis1=2, axis2=3), axis=-1).max()
        for n in range(-s.shape[2] + 1, s.shape[3])
    )


def test_rotation_is_that_of_complex_numbers():
    x = np.random.default_rng(0).normal(size=(2, H, 5, EVEN))
    places = np.array([0, 3, 4, 100, 7])
    expected = reference.rotate(x, places, 100.0)
    assert worst(rotate(x, places.astype("int32"), 100.0), expected) < 1e-12
    by_row = np.stack([places, places + 1]).astype("int32")
    assert worst(rotate(x, by_row, 100.0)[0], expected[0]) < 1e-12


def test_the_difference_of_rotated_products_depends_on_the_distance_alone():
    """R_i q · R_j k − R_{i−1} q' · R_{j−1} k' = R_{i−j} q · k − R_{i−j} q' · k'."""
    rng = np.random.default_rng(1)
    q, k, past_q, past_k = rng.normal(size=(4, 1, EVEN))

    def difference(i, j):
        products = [
            reference.rotate(a, [i - step]) @ reference.rotate(b, [j - step]).T
            for step, a, b in ((0, q, k), (1, past_q, past_k))
        ]
        return (products[0] - products[1]).item()

    for distance in (-2, 0, 3):
        found = [difference(j + distance, j) for j in (2, 3, 11, 40)]
        assert np.ptp(found) < 1e-12
    assert abs(difference(5, 3) - difference(6, 3)) > 1e-3


@pytest.mark.parametrize("name", REGISTRY)
def test_rotated_scores_are_relative_where_a_common_rotation_is_invisible(name):
    q, k = alike()
    if name == "rotary":
        return  # turned twice, and relative by itself: see test_rivals
    s = score(q, k, name)
    if name in RELATIVE:
        assert spread_along_diagonals(s) < 1e-12
        assert np.ptp(np.asarray(s)[0, 0]) > 1e-3
    else:
        assert name in ("l1_norm", "differential")
        assert spread_along_diagonals(s) > 1e-3


@pytest.mark.parametrize("attention_type", ATTENTION_TYPES)
def test_the_layer_turns_queries_and_keys_before_any_score(attention_type, x):
    layer = make(attention_type, dtype="float64", rotary_base=10_000.0)
    x = x.astype("float64")
    weights, places = [w.numpy() for w in layer.weights], (np.arange(TOKENS),) * 2
    expected = reference.multi_head(weights, x, x, HEADS, attention_type, None, places)
    assert worst(layer(x), expected) < 1e-12
    assert worst(layer(x), make(attention_type, dtype="float64")(x)) > 1e-3


def test_rotary_positions_with_the_dot_product_are_the_score_of_that_name(x):
    assert (
        worst(make("scaled_dot_product", rotary_base=10_000.0)(x), make("rotary")(x))
        < 1e-6
    )


@pytest.mark.parametrize("attention_type", ATTENTION_TYPES)
def test_a_bias_is_added_to_the_scores(attention_type):
    q, k, v = qkv()
    bias = np.random.default_rng(1).normal(size=(H, 5, 11))
    s = reference.score(q, k, attention_type)
    added = bias[..., None] if s.ndim == 5 else bias
    weights = np.exp(s + added) / np.exp(s + added).sum(3, keepdims=True)
    expected = (weights * v[:, :, None]).sum(3) if s.ndim == 5 else weights @ v
    output, found = attend(q, k, v, attention_type, bias=bias[None])
    assert worst(found, weights) < 1e-12
    assert worst(output, expected) < 1e-12


@pytest.mark.parametrize("attention_type", ATTENTION_TYPES)
def test_the_layers_output_has_the_bias_also_without_the_weights(attention_type, x):
    layer = make(attention_type)
    bias = np.random.default_rng(1).normal(size=(TOKENS, TOKENS))
    lean = layer(x, attention_bias=bias)
    plain, _ = layer(x, attention_bias=bias, return_attention_scores=True)
    assert worst(lean, plain) < 1e-6
    assert worst(lean, layer(x)) > 1e-3
    # A bias that is the same for all keys of a query is none.
    same = np.repeat(bias[:, :1], TOKENS, axis=1)
    assert worst(layer(x, attention_bias=same), layer(x)) < 1e-5


def test_a_bias_of_the_distance_cancels_in_the_difference():
    """As a feature of query and key, b_{i−j} is in both products, and gone."""
    q, k, _ = qkv(tokens=6, keys=6)
    slope = np.arange(6.0)[:, None]
    one = np.ones_like(slope)
    biased_q = np.concatenate(
        [q, np.broadcast_to([*np.hstack([slope, one])], (*q.shape[:3], 2))], -1
    )
    biased_k = np.concatenate(
        [k, np.broadcast_to([*np.hstack([one, -slope])], (*k.shape[:3], 2))], -1
    )
    dot = np.einsum("bhtd,bhsd->bhts", biased_q, biased_k)
    plain = np.einsum("bhtd,bhsd->bhts", q, k)
    assert worst(dot - plain, np.broadcast_to(slope - slope.T, dot.shape)) < 1e-12
    found = np.asarray(score(biased_q, biased_k, "differentialSum"))
    expected = reference.score(q, k, "differentialSum")
    assert worst(found[:, :, 1:, 1:], expected[:, :, 1:, 1:]) < 1e-12


@pytest.mark.parametrize(
    ("bias", "message"),
    [
        (np.ones((TOKENS, TOKENS), int), "attention_bias must be a floating-point"),
        (np.ones((BATCH, 4, TOKENS)), r"attention_bias of shape \(2, 4, 9\)"),
    ],
)
def test_bad_biases_are_named(bias, message, x):
    with pytest.raises(ValueError, match=message):
        make("l1_norm")(x, attention_bias=bias)


def test_bad_rotary_positions_are_named():
    with pytest.raises(ValueError, match=r"rotary needs an even number.*Received: 3"):
        CustomMultiheadAttention(6, 2, rotary_base=10_000)
    with pytest.raises(ValueError, match=r"rotary_base must be .* at least 1.*=0.5"):
        CustomMultiheadAttention(EMBED, HEADS, rotary_base=0.5)


@pytest.mark.parametrize("name", ["relative_bias", "rotary"])
def test_queries_may_stand_later_than_the_first_key(name):
    q, k, _ = (np.repeat(z, 2, axis=-1)[..., :EVEN] for z in qkv(tokens=6, keys=6))
    own = {
        key: np.random.default_rng(2).normal(size=p.shape)
        for key, p in REGISTRY[name].parameters(H, EVEN).items()
    }
    whole = score(q, k, name, parameters=own)
    later = score(q[:, :, 4:], k, name, parameters=own, places=Places(4))
    assert worst(later, whole[:, :, 4:]) < 1e-12
