"""No query knows the future: every score and lag, both alignments, any lengths."""

import keras
import numpy as np
import pytest
import reference
import tensorflow as tf
from decoding_case import EMBED, FEATURES, HEADS, KINDS, inputs, make
from tools import worst

from diffattn import ATTENTION_TYPES

#: Queries and keys: fewer, as many and more of one than of the other.
LENGTHS = [(9, 9), (5, 9), (9, 6)]


def texts(queries, keys):
    return inputs(0)[:, :queries], inputs(1)[:, :keys]


def mask_by_hand(queries, keys, alignment):
    """True where j ≤ i, or j ≤ i + S − T, in loops."""
    offset = 0 if alignment is True else keys - queries
    return np.array([[j <= i + offset for j in range(keys)] for i in range(queries)])


each_length = pytest.mark.parametrize("lengths", LENGTHS, ids=str)
each_alignment = pytest.mark.parametrize("alignment", [True, "lower_right"])


@each_length
@each_alignment
@pytest.mark.parametrize("attention_type", ATTENTION_TYPES)
def test_both_alignments_are_masks_of_the_specification(
    attention_type, alignment, lengths
):
    layer = make(attention_type, dtype="float64")
    x, y = (z.astype("float64") for z in texts(*lengths))
    expected = reference.multi_head(
        [w.numpy() for w in layer.weights], x, y, HEADS, attention_type,
        mask_by_hand(*lengths, alignment),
    )  # fmt: skip
    assert worst(layer(x, y, use_causal_mask=alignment), expected) < 1e-12


@each_length
def test_true_is_keras_own_alignment(lengths):
    layer = make("scaled_dot_product")
    x, y = texts(*lengths)
    theirs = keras.layers.MultiHeadAttention(HEADS, EMBED // HEADS, output_shape=EMBED)
    theirs.build(x.shape, y.shape)
    pairs = zip(layer.weights, theirs.weights, strict=True)
    theirs.set_weights([a.numpy().reshape(b.shape) for a, b in pairs])
    found = layer(x, y, use_causal_mask=True)
    assert worst(found, theirs(x, y, use_causal_mask=True)) < 1e-5


@each_length
@each_alignment
@pytest.mark.parametrize("kind", KINDS)
def test_nothing_of_the_future_has_a_part(kind, alignment, lengths):
    """Whatever changes at and behind a key, queries that do not see it stay."""
    layer = make(kind)
    x, y = texts(*lengths)
    sees = mask_by_hand(*lengths, alignment)
    before = layer(x, y, use_causal_mask=alignment).numpy()
    rng = np.random.default_rng(5)
    for first in (1, 4, lengths[1] - 1):
        changed = y.copy()
        changed[:, first:] = 5 * rng.normal(size=changed[:, first:].shape)
        after = layer(x, changed, use_causal_mask=alignment).numpy()
        change = np.abs(after - before).max(axis=(0, 2))
        assert not change[~sees[:, first]].any()
        assert (change[sees[:, first]] > 1e-3).all()


@pytest.mark.parametrize("kind", KINDS)
def test_in_self_attention_the_future_may_be_anything(kind):
    """Queries, keys and values all change, as a text that goes on another way."""
    layer, x = make(kind), inputs()
    before = layer(x, use_causal_mask=True)
    for first in (1, 4, 8):
        changed = x.copy()
        changed[:, first:] = inputs(first)[:, first:]
        after = layer(changed, use_causal_mask=True)
        assert worst(before[:, :first], after[:, :first]) == 0


@pytest.mark.parametrize(
    "kind", [*reference.ORDER_BLIND, "relative_bias", "rotary", "smeared_keys"]
)
def test_the_last_queries_of_a_text_are_those_of_the_whole(kind):
    """lower_right gives the queries their places, too."""
    layer, x = make(kind, rotary_base=10.0), inputs()
    whole = layer(x, use_causal_mask=True)
    later = layer(x[:, 6:], x, use_causal_mask="lower_right")
    assert worst(later, whole[:, 6:]) < 1e-5


@pytest.mark.parametrize("lag", [1, 2])
def test_the_first_lag_of_the_last_queries_have_no_predecessor(lag):
    layer, x = make(f"differentialSum(lag={lag})"), inputs()
    whole = layer(x, use_causal_mask=True)
    later = layer(x[:, 5:], x, use_causal_mask="lower_right")
    assert worst(later[:, lag:], whole[:, 5 + lag :]) < 1e-5
    assert worst(later[:, :lag], whole[:, 5 : 5 + lag]) > 1e-3


def test_lengths_may_be_unknown():
    layer = make("relative_bias", rotary_base=10.0)
    call = tf.function(
        lambda x, y: layer(x, y, use_causal_mask="lower_right"),
        input_signature=[tf.TensorSpec((None, None, FEATURES))] * 2,
    )
    for lengths in LENGTHS:
        x, y = texts(*lengths)
        expected = layer(x, y, use_causal_mask="lower_right")
        assert worst(call(x, y), expected) < 1e-6


def test_another_alignment_is_refused():
    with pytest.raises(ValueError, match="use_causal_mask must be one of False, True,"):
        make("l1_norm")(inputs(), use_causal_mask="upper_left")
