"""Decoding with a cache is the whole text at once under a causal mask."""

import warnings
from importlib.util import find_spec

import decoding_case
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
    TOKENS,
    ByPlace,
    Cubed,
    Undeclared,
    decode,
    inputs,
    make,
)
from keras import ops
from tools import run, worst

from diffattn import ATTENTION_TYPES, CustomMultiheadAttention

#: Where each call ends: several tokens at once, one after the other, and several.
ENDS = (4, 5, 6, 9)
ONE_BY_ONE = range(1, TOKENS + 1)
#: Kinds that differ in what a cache must do for them.
SOME = ("l2_norm", "differentialSum(lag=(1, 4))", "differential(lag=11)", "rotary")


@pytest.fixture
def x():
    return inputs()


@pytest.mark.parametrize("kind", decoding_case.KINDS)
def test_step_by_step_it_is_the_whole_text(kind, x):
    layer = make(kind)
    assert worst(decode(layer, x, ENDS), layer(x, use_causal_mask=True)) < 1e-5


@pytest.mark.parametrize("ends", [(TOKENS,), (2, 7, 9)])
@pytest.mark.parametrize("kind", SOME)
def test_in_steps_of_any_size_with_rotary_positions(kind, ends, x):
    layer = make(kind, rotary_base=100.0)
    assert worst(decode(layer, x, ends), layer(x, use_causal_mask=True)) < 1e-5


@pytest.mark.parametrize("rotary", [False, True])
@pytest.mark.parametrize("attention_type", ATTENTION_TYPES)
def test_step_by_step_it_is_the_specification(attention_type, rotary, x):
    layer = make(
        attention_type, dtype="float64", rotary_base=10_000.0 if rotary else None
    )
    x = x.astype("float64")
    found = decode(layer, x, ONE_BY_ONE)
    causal = np.tril(np.ones((TOKENS, TOKENS), bool))
    places = (np.arange(TOKENS),) * 2 if rotary else None
    weights = [w.numpy() for w in layer.weights]
    expected = reference.multi_head(
        weights, x, x, HEADS, attention_type, causal, places
    )
    assert worst(found, expected) < 1e-12


@pytest.mark.parametrize("kind", SOME)
def test_a_graph_decodes_with_an_index_that_is_a_tensor(kind, x):
    layer = make(kind)
    whole = layer(x, use_causal_mask=True)

    @tf.function(
        input_signature=[
            tf.TensorSpec((None, None, FEATURES)),
            tf.TensorSpec((None, *layer.make_cache(1, 12).shape[1:])),
            tf.TensorSpec((), "int64"),
        ]
    )
    def step(x, cache, index):
        return layer(x, cache=cache, cache_update_index=index)

    cache, outputs = layer.make_cache(BATCH, 12), []
    for start, end in ((0, 4), (4, 5), (5, 9)):
        output, cache = step(x[:, start:end], cache, tf.constant(start, "int64"))
        outputs.append(output)
    assert worst(np.concatenate(outputs, 1), whole) < 1e-5


def test_a_graph_may_have_the_loop_in_it(x):
    layer = make("differentialSum(lag=2)", rotary_base=100.0)
    found = decoding_case.in_a_loop(layer, x)
    assert worst(found, layer(x, use_causal_mask=True)) < 1e-5


def test_a_transformer_block_decodes_as_it_reads():
    block = decoding_case.Block("differentialSum")
    x = np.random.default_rng(0).normal(size=(BATCH, TOKENS, EMBED)).astype("float32")
    whole = block(x)
    assert worst(decoding_case.in_a_loop(block, x), whole) < 1e-5


@pytest.mark.slow
@pytest.mark.parametrize("backend", ["jax", "torch"])
def test_the_other_backends_decode_the_same(backend):
    if find_spec(backend) is None:
        pytest.skip(f"{backend} is not installed")
    worst_by_kind = dict(
        line.rsplit(maxsplit=1)
        for line in run("decoding_case.py", KERAS_BACKEND=backend).splitlines()
    )
    assert list(worst_by_kind) == [*decoding_case.KINDS, "block"]
    for error in worst_by_kind.values():
        assert float(error) < 1e-5


@pytest.mark.parametrize("kind", ["differentialSum(lag=2)", "multi_token", "l1_norm"])
def test_weights_are_those_of_the_whole_text(kind, x):
    layer = make(kind)
    _, whole = layer(x, use_causal_mask=True, return_attention_scores=True)
    cache = layer.make_cache(BATCH, TOKENS)
    _, cache = layer(x[:, :6], cache=cache, cache_update_index=0)
    results = layer(
        x[:, 6:], cache=cache, cache_update_index=6, return_attention_scores=True
    )
    assert worst(results[1], whole[:, :, 6:]) < 1e-6
    assert worst(results[2][:, :, :6], cache[:, :, :6]) == 0


def test_the_cache_is_keras_hubs():
    """Keys and values, projected, of shape (B, 2, S, H, d); only new ones change."""
    layer, x = make("l2_norm"), inputs()
    before = layer.make_cache(BATCH, 12) + 7
    _, after = layer(x[:, :3], x[:, :3], cache=before, cache_update_index=5)
    assert after.shape == before.shape == (BATCH, 2, 12, HEADS, EMBED // HEADS)
    assert worst(after[:, :, :5], before[:, :, :5]) == 0
    assert worst(after[:, :, 8:], before[:, :, 8:]) == 0
    for part, projection in ((0, layer.key_projection), (1, layer.value_projection)):
        expected = ops.reshape(projection(x[:, :3]), (BATCH, 3, HEADS, -1))
        assert worst(after[:, part, 5:8], expected) < 1e-6


def test_without_an_index_the_cache_is_read_and_no_more(x):
    """As with KerasHub's layer: what else is given as value and key has no part."""
    layer, memory = make("l2_norm"), inputs(seed=1)
    cache = layer.make_cache(BATCH, TOKENS)
    _, cache = layer(memory, cache=cache, cache_update_index=0)
    output, same = layer(x[:, :2], x[:, :2] + 1, cache=cache)
    assert worst(output, layer(x[:, :2], memory)) < 1e-6
    assert worst(same, cache) == 0
    filled = np.arange(TOKENS) < 5
    output, _ = layer(x[:, :2], cache=cache, attention_mask=filled[None])
    assert worst(output, layer(x[:, :2], memory[:, :5])) < 1e-6


@pytest.mark.parametrize("kind", ["l1_norm", "differential", "differentialSum(lag=3)"])
def test_a_padded_prompt_counts_as_the_bare_one(kind, x):
    layer = make(kind)
    real = np.array([[0, 0, 1, 1], [1, 1, 1, 1]], bool)
    cache = layer.make_cache(BATCH, TOKENS)
    output, cache = layer(x[:, :4], query_mask=real, cache=cache, cache_update_index=0)
    outputs = [output]
    filled = np.concatenate([real, np.ones((BATCH, TOKENS - 4), bool)], axis=1)
    for n in range(4, TOKENS):
        output, cache = layer(
            x[:, n : n + 1],
            cache=cache,
            cache_update_index=n,
            attention_mask=filled[:, None],
        )
        outputs.append(output)
    found = np.concatenate(outputs, axis=1)
    for entry, start in ((0, 2), (1, 0)):
        bare = layer(x[entry : entry + 1, start:], use_causal_mask=True)
        assert worst(found[entry : entry + 1, start:], bare) < 1e-5


@pytest.mark.parametrize("kind", [*SOME, "smeared_keys"])
def test_a_bias_of_the_distance_is_added_in_the_cache_too(kind, x):
    layer = make(kind)
    distance = np.arange(TOKENS)[:, None] - np.arange(TOKENS)
    bias = np.sin(np.arange(HEADS) + 1)[:, None, None] * distance
    bias = bias[None].astype("float32")
    whole = layer(x, use_causal_mask=True, attention_bias=bias)
    cache, outputs = layer.make_cache(BATCH, TOKENS), []
    for start, end in ((0, 4), (4, 5), (5, 9)):
        output, cache = layer(
            x[:, start:end],
            cache=cache,
            cache_update_index=start,
            attention_bias=bias[:, :, start:end],
        )
        outputs.append(output)
    assert worst(np.concatenate(outputs, axis=1), whole) < 1e-5
    assert worst(whole, layer(x, use_causal_mask=True)) > 1e-3


@pytest.mark.parametrize("score", [Cubed, ByPlace])
def test_a_score_of_ones_own_decodes_if_it_declares_its_reach(score, x):
    layer = make(score(), scale=0.1)
    whole = layer(x, use_causal_mask=True)
    for ends in (ENDS, ONE_BY_ONE):
        assert worst(decode(layer, x, ends), whole) < 1e-5


def test_a_score_that_sees_order_and_does_not_say_how_is_refused(x):
    layer = make(Undeclared())
    with pytest.raises(ValueError, match=r"Undeclared sees the order.*reach"):
        layer.make_cache(BATCH, 3)
    with pytest.raises(ValueError, match=r"Undeclared sees the order.*reach"):
        layer(x[:, :3], cache=np.zeros((BATCH, 2, 3, HEADS, 4)), cache_update_index=0)


@pytest.mark.parametrize(
    ("kind", "parts"),
    [
        ("l1_norm", 2),
        ("rotary", 2),
        ("smeared_keys", 3),
        ("differential", 3),
        ("differentialSum(coefficient=0)", 2),
    ],
)
def test_queries_are_kept_only_for_a_score_that_looks_back(kind, parts):
    layer = make(kind, dtype="mixed_float16")
    cache = layer.make_cache(3, 7)
    assert cache.shape == (3, parts, 7, HEADS, EMBED // HEADS)
    assert keras.backend.standardize_dtype(cache.dtype) == "float16"


def test_half_precision_stays_half(x):
    layer = make("differentialSum", dtype="mixed_bfloat16")
    output, cache = layer(
        x[:, :2], cache=layer.make_cache(BATCH, 4), cache_update_index=0
    )
    assert {str(output.dtype), str(cache.dtype)} == {"<dtype: 'bfloat16'>"}


def test_a_functional_model_takes_a_cache(x):
    layer = make("differentialSum")
    parts = keras.Input((2, FEATURES)), keras.Input((3, TOKENS, HEADS, EMBED // HEADS))
    output, cache = layer(parts[0], cache=parts[1], cache_update_index=4)
    model = keras.Model(parts, (output, cache))
    given = np.random.default_rng(2).normal(size=(BATCH, 3, TOKENS, HEADS, 4))
    for found, symbolic, expected in zip(
        model([x[:, :2], given]),
        (output, cache),
        layer(x[:, :2], cache=given, cache_update_index=4),
        strict=True,
    ):
        assert worst(found, expected) < 1e-6
        assert symbolic.shape == (None, *found.shape[1:])


def test_gradients_reach_the_cache_and_the_new_tokens(x):
    layer = make("differentialSum")
    x = tf.constant(x)
    with tf.GradientTape(persistent=True) as tape:
        tape.watch(x)
        total = tf.reduce_sum(decode(layer, x, (4, 5, 9)) ** 2)
        whole = tf.reduce_sum(layer(x, use_causal_mask=True) ** 2)
    sources = [x, *layer.trainable_variables]
    for one, other in zip(
        tape.gradient(total, sources), tape.gradient(whole, sources), strict=True
    ):
        assert worst(one, other) < 1e-4


@pytest.mark.parametrize(
    ("tokens", "options", "message"),
    [
        (3, {"cache_update_index": 7}, "room for 9 tokens.*3 tokens, .*index=7"),
        (3, {"cache_update_index": -1}, "room for 9 tokens.*cache_update_index=-1"),
        (10, {"cache_update_index": 0}, "room for 9 tokens. Received: 10 tokens"),
        (3, {"cache": None, "cache_update_index": 0}, "needs a cache"),
        (
            3,
            {"cache": np.zeros((BATCH, 2, 9, HEADS, 4), "float32")},
            r"cache must have shape .*\(2, 3, None, 2, 4\), as make_cache",
        ),
        (3, {"cache": np.zeros((9, HEADS, 4), "float32")}, r"shape \(9, 2, 4\)"),
        (3, {"segment_ids": np.zeros((BATCH, 3), int)}, "segment_ids .* no cache"),
        (
            3,
            {"value": np.zeros((BATCH, 4, FEATURES)), "cache_update_index": 0},
            "as many tokens as the query.*3 queries, 4 keys",
        ),
    ],
)
def test_what_does_not_fit_the_cache_is_named(tokens, options, message):
    layer, x = make("differentialSum"), np.zeros((BATCH, tokens, FEATURES), "float32")
    options = {"cache": layer.make_cache(BATCH, TOKENS), **options}
    with pytest.raises(ValueError, match=message):
        layer(x, **options)


@pytest.mark.parametrize("given", [{"batch_size": 0}, {"max_length": 2.5}])
def test_a_cache_of_no_size_is_refused(given):
    with pytest.raises(ValueError, match=f"{next(iter(given))} must be a positive"):
        make("l1_norm").make_cache(**{"batch_size": 1, "max_length": 1, **given})


@pytest.mark.parametrize("kind", ["differential", "rotary", "smeared_keys"])
def test_a_lone_query_is_told_of_the_cache_and_silent_with_it(kind, x):
    layer = make(kind)
    with pytest.warns(UserWarning, match="use a cache: make_cache"):
        layer(x[:, :1], x)
    cache = layer.make_cache(BATCH, TOKENS)
    with pytest.warns(UserWarning, match="use a cache: make_cache"):
        layer(x[:, :1], cache=cache)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        layer(x[:, :1], cache=cache, cache_update_index=0)


def test_a_saved_layer_decodes_the_same(x, tmp_path):
    inputs_ = keras.Input((None, FEATURES))
    layer = make("differential(lag=2)", rotary_base=100.0)
    model = keras.Model(inputs_, layer(inputs_, use_causal_mask=True))
    model.save(tmp_path / "model.keras")
    again = keras.models.load_model(tmp_path / "model.keras").layers[1]
    assert again.get_config() == layer.get_config()
    assert isinstance(again, CustomMultiheadAttention)
    assert worst(decode(again, x, (4, 5, 9)), model(x)) < 1e-5
