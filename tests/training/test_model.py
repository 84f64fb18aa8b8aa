import json

import keras
import numpy as np
import pytest
import reference
from tools import weekly_but, worst

from diffattn import ATTENTION_TYPES, build_classifier
from diffattn.data.order import order_task
from diffattn.names import MODEL_TYPES


def small(attention_type, **settings):
    defaults = {"embed_dim": 6, "num_heads": 2, "vocabulary_size": 11}
    return build_classifier(attention_type, **{**defaults, **settings})


def test_the_documented_numbers_of_parameters():
    """Embedding 10,001 × 16; three 16 → 512 and one 512 → 512, each with bias."""
    embedding = 10_001 * 16
    attention = 3 * (16 * 512 + 512) + 512 * 512 + 512
    for attention_type in ATTENTION_TYPES:
        model = build_classifier(attention_type)
        assert model.count_params() == embedding + attention + 512 + 1
        assert model.input_shape == (None, 250)
        assert model.output_shape == (None, 1)
    assert build_classifier("none").count_params() == embedding + 16 + 1


def test_the_baseline_is_the_mean_of_the_embeddings():
    model = small("none")
    table, kernel, bias = model.get_weights()
    tokens = np.random.default_rng(0).integers(0, 11, (4, 250))
    expected = table[tokens].mean(1) @ kernel + bias
    assert worst(model(tokens), expected) < 1e-6


@pytest.mark.parametrize("attention_type", MODEL_TYPES)
def test_masked_padding_changes_nothing(attention_type):
    model = small(attention_type, mask_padding=True, sequence_length=None)
    bare = np.array([[3, 1, 4]])
    padded = np.array([[3, 1, 4, 0, 0]])
    assert worst(model(bare), model(padded)) < 1e-6


@pytest.mark.parametrize("attention_type", MODEL_TYPES)
def test_the_logit_of_an_empty_review_is_the_bias(attention_type):
    model = small(attention_type, mask_padding=True)
    model.layers[-1].bias.assign([0.25])
    empty = np.zeros((1, 250), int)
    if attention_type != "none":
        model.get_layer("attention").output_projection.bias.assign(np.ones(6))
    assert worst(model(empty), [[0.25]]) == 0


@pytest.mark.parametrize("attention_type", MODEL_TYPES)
def test_a_seed_alone_decides_the_weights(attention_type):
    one, other = small(attention_type, seed=3), small(attention_type, seed=3)
    for a, b in zip(one.weights, other.weights, strict=True):
        assert worst(a, b) == 0
    third = small(attention_type, seed=4)
    assert worst(one.weights[0], third.weights[0]) > 0.01


@pytest.mark.parametrize("attention_type", MODEL_TYPES)
def test_only_the_differential_types_notice_shuffled_tokens(attention_type):
    """Property 6 of the specification, for a whole classifier."""
    keras.utils.set_random_seed(0)
    model = small(attention_type, sequence_length=12)
    rng = np.random.default_rng(0)
    model.get_layer("embedding").embeddings.assign(rng.normal(size=(12, 16)))
    tokens = rng.integers(0, 11, (8, 12))
    change = worst(model(tokens), model(tokens[:, rng.permutation(12)]))
    if attention_type in reference.DIFFERENTIAL:
        assert change > 1e-3
    else:
        assert change < 1e-6


def test_with_positions_even_the_dot_product_sees_order():
    keras.utils.set_random_seed(0)
    model = small("scaled_dot_product", sequence_length=12, positional_encoding=True)
    tokens = np.arange(12)[None] % 11
    assert worst(model(tokens), model(tokens[:, ::-1])) > 1e-4


@pytest.mark.slow
@pytest.mark.parametrize(
    "attention_type",
    weekly_but(MODEL_TYPES, "scaled_dot_product", "differentialSum", "differential"),
)
def test_the_order_task(attention_type):
    """Only the differential types can learn which of two neighbours comes first.

    The specification's task with shorter sequences and fewer tokens.
    """
    task = {"length": 12, "vocabulary_size": 12}
    keras.utils.set_random_seed(0)
    model = build_classifier(
        attention_type,
        embed_dim=32,
        num_heads=4,
        dropout=0,
        vocabulary_size=12,
        sequence_length=12,
    )
    model.compile(
        keras.optimizers.Adam(0.005),
        keras.losses.BinaryCrossentropy(from_logits=True),
        metrics=[keras.metrics.BinaryAccuracy(threshold=0.0)],
        jit_compile=False,
    )
    model.fit(*order_task(4000, **task, seed=1), epochs=4, verbose=0)
    _, accuracy = model.evaluate(*order_task(2000, **task, seed=2), verbose=0)
    if attention_type in reference.DIFFERENTIAL:
        assert accuracy > 0.95
    else:
        assert accuracy < 0.6


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"attention_type": "dot"}, r"Sum, differential, .*, none\. Received"),
        ({"num_heads": 4}, "embed_dim must be divisible by num_heads"),
        ({"vocabulary_size": 1.5}, "vocabulary_size must be a positive integer"),
        ({"dropout": 1}, "^dropout must be a finite number"),
        (
            {"attention_dropout": 1.5},
            "^attention_dropout must be.*_dropout=1.5",
        ),
        ({"scale": "1"}, "scale must be a finite number.*scale='1'"),
        ({"sequence_length": 0}, "sequence_length must be.*sequence_length=0"),
        ({"seed": -1}, "seed must be an integer of at least 0.*seed=-1"),
        ({"mask_padding": "no"}, "mask_padding must be one of True, False"),
        ({"positional_encoding": 2}, "positional_encoding must be one of True, False"),
    ],
)
@pytest.mark.parametrize("attention_type", ["l2_norm", "none"])
def test_invalid_arguments_are_named(attention_type, arguments, message):
    with pytest.raises(ValueError, match=message):
        small(**{"attention_type": attention_type, **arguments})


def test_the_classifier_ignores_the_image_data_format_of_keras():
    before = keras.config.image_data_format()
    keras.config.set_image_data_format("channels_first")
    try:
        model = small("none")
    finally:
        keras.config.set_image_data_format(before)
    assert model.get_layer("mean").output.shape == (None, 16)


def test_arguments_may_be_numbers_of_numpy():
    sizes = {"vocabulary_size": np.int64(11), "sequence_length": np.int32(9)}
    model = small("l2_norm", embedding_dim=np.int64(4), seed=np.int64(3), **sizes)
    copy = keras.Model.from_config(json.loads(json.dumps(model.get_config())))
    assert copy.input_shape == (None, 9)
    assert copy.count_params() == model.count_params()
