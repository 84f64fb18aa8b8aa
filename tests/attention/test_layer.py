import itertools
import json

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras.src.testing import TestCase  # Keras's own check of a layer; not public
from tools import gradients, weekly_unless, worst

from diffattn import ATTENTION_TYPES, CustomMultiheadAttention

# Primes again; embed_dim = 3 heads of 5.
BATCH, TOKENS, KEYS, FEATURES, EMBED, HEADS = 2, 7, 11, 13, 15, 3


@pytest.fixture
def rng():
    return np.random.default_rng(0)


@pytest.fixture
def x(rng):
    return rng.normal(size=(BATCH, TOKENS, FEATURES)).astype("float32")


@pytest.fixture
def y(rng):
    return rng.normal(size=(BATCH, KEYS, 17)).astype("float32")


def make(attention_type="scaled_dot_product", **more):
    """A layer with random biases, so that none of them can hide."""
    return CustomMultiheadAttention(
        EMBED, HEADS, attention_type=attention_type, bias_initializer="normal", **more
    )


def like_keras(layer, *shapes):
    """Keras's own layer with the weights of ours."""
    layer.build(*shapes)
    theirs = keras.layers.MultiHeadAttention(HEADS, EMBED // HEADS, output_shape=EMBED)
    theirs.build(shapes[0], shapes[1] if len(shapes) > 1 else shapes[0], *shapes[2:])
    mine = [w.numpy() for w in layer.weights]
    theirs.set_weights(
        [m.reshape(w.shape) for m, w in zip(mine, theirs.weights, strict=True)]
    )
    return theirs


@pytest.mark.filterwarnings("ignore:`shuffle=True` was passed")
@pytest.mark.parametrize("attention_type", ATTENTION_TYPES)
@pytest.mark.parametrize("dropout", [0.0, 0.3])
def test_keras_own_layer_test_passes(attention_type, dropout):
    TestCase().run_layer_test(
        CustomMultiheadAttention,
        init_kwargs={
            "embed_dim": 12,
            "num_heads": 3,
            "attention_type": attention_type,
            "dropout": dropout,
        },
        input_shape=(2, 5, 8),
        expected_output_shape=(2, 5, 12),
        expected_num_trainable_weights=8,
        expected_num_non_trainable_weights=0,
        expected_num_seed_generators=1 if dropout else 0,
        expected_num_losses=0,
        supports_masking=True,
    )


def test_scaled_dot_product_is_keras_own_layer(x, y):
    layer = make()
    theirs = like_keras(layer, x.shape, y.shape, y.shape)
    mask = np.random.default_rng(1).random((BATCH, TOKENS, KEYS)) < 0.5
    mask[:, :, 0] = True  # Keras averages over what a query may not see
    for how in ({}, {"attention_mask": mask}, {"use_causal_mask": True}):
        output, weights = layer(x, y, return_attention_scores=True, **how)
        expected, scores = theirs(x, y, return_attention_scores=True, **how)
        assert worst(output, expected) < 1e-5
        assert worst(weights, scores) < 1e-5


def test_key_and_value_may_differ(x, y, rng):
    key = rng.normal(size=(BATCH, KEYS, 19)).astype("float32")
    layer = make()
    theirs = like_keras(layer, x.shape, y.shape, key.shape)
    assert worst(layer(x, y, key), theirs(x, y, key)) < 1e-5


@pytest.mark.parametrize("attention_type", ATTENTION_TYPES)
@pytest.mark.parametrize("how", [{}, {"use_causal_mask": True}, {"training": True}])
def test_asking_for_the_weights_does_not_change_the_output(attention_type, how, x):
    outputs = []
    for wanted in (False, True):
        keras.utils.set_random_seed(1)
        layer = make(attention_type, dropout=0.5, seed=1)
        found = layer(x, return_attention_scores=wanted, **how)
        outputs.append(found[0] if wanted else found)
    assert worst(*outputs) < 1e-6


def draw(shape, dtype=None):
    """An initializer that is a function."""
    return keras.random.normal(shape, dtype=dtype)


INITIALIZERS = {
    "no seed": lambda: keras.initializers.GlorotUniform(),
    "seed": lambda: keras.initializers.GlorotUniform(seed=5),
    "generator": lambda: keras.initializers.GlorotUniform(
        keras.random.SeedGenerator(5)
    ),
    "function": lambda: draw,
    "name": lambda: "he_normal",
    "none": lambda: None,
}


@pytest.mark.parametrize("kind", INITIALIZERS)
@pytest.mark.parametrize("which", ["kernel", "bias"])
def test_each_projection_draws_numbers_of_its_own(which, kind):
    given = {f"{which}_initializer": INITIALIZERS[kind]()}
    layer = CustomMultiheadAttention(6, 2, **given)
    layer.build((1, 1, 6))
    found = [w.numpy() for w in layer.weights if w.name == which]
    assert len(found) == 4
    for a, b in itertools.combinations(found, 2):
        assert worst(a, b) > 0.01


@pytest.mark.parametrize("initializer", [None, "ones", keras.ops.ones])
def test_what_draws_nothing_is_what_dense_makes_of_it(initializer):
    layer = CustomMultiheadAttention(6, 2, bias_initializer=initializer)
    dense = keras.layers.Dense(6, bias_initializer=initializer)
    keras.utils.set_random_seed(1)
    layer.query_projection.build((1, 6))
    keras.utils.set_random_seed(1)
    dense.build((1, 6))
    assert worst(layer.query_projection.bias, dense.bias) == 0
    saved = layer.get_config()["bias_initializer"]
    assert saved == keras.initializers.serialize(dense.bias_initializer)


def test_dropout_drops_its_share_in_training_only(x):
    """With all weights equal and all values 1, an output counts what was kept."""
    layer = CustomMultiheadAttention(1, 1, dropout=0.25, attention_type="l1_norm")
    many = np.ones((4, 200, 1), "float32")
    layer.build(many.shape)
    layer.set_weights([np.ones((1, 1)), np.zeros(1)] * 4)
    assert worst(layer(many), np.ones((4, 200, 1))) < 1e-5
    kept = 0.75 * layer(many, training=True).numpy()
    deviation = np.sqrt(0.75 * 0.25 / 200)
    assert abs(kept.mean() - 0.75) < 4 * deviation / np.sqrt(800)
    assert abs(kept.std() / deviation - 1) < 0.2


@pytest.mark.parametrize("attention_type", ATTENTION_TYPES)
def test_causal_output_does_not_know_the_future(attention_type, x):
    layer = make(attention_type)
    before = layer(x, use_causal_mask=True)
    x[:, 4:] = 50
    after = layer(x, use_causal_mask=True)
    assert worst(before[:, :4], after[:, :4]) == 0
    assert worst(before[:, 4:], after[:, 4:]) > 1e-3


def with_mask(x, mask):
    """A copy of x that carries a padding mask, as an Embedding hands it on."""
    x = tf.identity(x)
    x._keras_mask = tf.constant(mask)
    return x


@pytest.mark.parametrize("attention_type", ATTENTION_TYPES)
@pytest.mark.parametrize(
    "real",
    [
        [[1, 1, 1, 1, 0, 0, 0], [1, 1, 1, 1, 1, 1, 1]],  # padding behind
        [[0, 0, 0, 1, 1, 1, 1], [0, 1, 1, 1, 1, 1, 1]],  # and before
        [[1, 1, 0, 0, 1, 1, 1], [1, 0, 1, 0, 1, 0, 1]],  # and between
    ],
)
def test_padding_counts_as_nothing(attention_type, real, x):
    layer = make(attention_type)
    mask = np.array(real, bool)
    before = layer(with_mask(x, mask))
    x[~mask] = np.random.default_rng(1).normal(size=(FEATURES,)) * 100
    after = layer(with_mask(x, mask))
    assert worst(before[mask], after[mask]) == 0
    x[~mask] = np.nan
    assert worst(before[mask], layer(with_mask(x, mask))[mask]) == 0


@pytest.mark.parametrize("attention_type", ATTENTION_TYPES)
def test_the_first_token_after_padding_has_no_predecessor(attention_type, x):
    """A padded sequence is attended to as the bare one is."""
    layer = make(attention_type)
    real = np.zeros((BATCH, TOKENS), bool)
    real[:, 3:6] = True
    bare = layer(x[:, 3:6])
    assert worst(layer(with_mask(x, real))[:, 3:6], bare) < 1e-6


def test_masks_of_query_value_and_key_are_all_used(x, y):
    layer = make("l2_norm")
    value_mask = np.arange(KEYS)[None] < np.array([[4], [9]])
    key_mask = np.arange(KEYS)[None] > np.array([[0], [2]])
    query_mask = np.arange(TOKENS)[None] < np.array([[5], [6]])
    attention_mask = np.random.default_rng(1).random((BATCH, TOKENS, KEYS)) < 0.7
    together = (
        attention_mask
        & (value_mask & key_mask)[:, None]
        & query_mask[:, :, None]
        & (np.arange(KEYS) <= np.arange(TOKENS)[:, None])
    )
    inputs = with_mask(x, query_mask), with_mask(y, value_mask), with_mask(y, key_mask)
    how = {"attention_mask": attention_mask, "use_causal_mask": True}
    expected = layer(x, y, y, attention_mask=together)
    assert worst(layer(*inputs, **how), expected) < 1e-6
    output, weights = layer(*inputs, **how, return_attention_scores=True)
    assert worst(output, expected) < 1e-6
    assert not np.asarray(weights)[
        ~np.broadcast_to(together[:, None], weights.shape)
    ].any()


def calls(x):
    """One, two and three tensors, all of the same length."""
    other = np.random.default_rng(3).normal(size=x.shape).astype("float32")
    third = np.random.default_rng(4).normal(size=x.shape).astype("float32")
    return {"one": (x,), "two": (x, other), "three": (x, other, third)}


ONLY = ["query_mask", "value_mask", "key_mask"]


@pytest.mark.parametrize("given", [*([name] for name in ONLY), ONLY])
@pytest.mark.parametrize("tensors", ["one", "two", "three"])
@pytest.mark.parametrize("attention_type", ATTENTION_TYPES[:4])
def test_a_mask_given_by_name_counts_however_many_tensors(
    attention_type, tensors, given, x
):
    """The same as an attention_mask, where no score looks at a predecessor."""
    inputs = calls(x)[tensors]
    rng = np.random.default_rng(5)
    masks = {name: rng.random((BATCH, TOKENS)) < 0.7 for name in given}
    # The query's mask is that of its stand-ins, too.
    of_query = masks.get("query_mask", np.ones((BATCH, TOKENS), bool))
    of_keys = of_query if tensors == "one" else np.ones((BATCH, TOKENS), bool)
    for name in {"value_mask", "key_mask"} & masks.keys():
        of_keys = of_keys & masks[name]
    layer = make(attention_type)
    pairs = of_query[:, :, None] & of_keys[:, None]
    expected = layer(*inputs, attention_mask=pairs)
    assert worst(layer(*inputs, **masks), expected) < 1e-6
    assert worst(layer(*inputs), expected) > 1e-3


@pytest.mark.parametrize("given", ONLY)
@pytest.mark.parametrize("tensors", ["one", "two", "three"])
def test_a_mask_given_by_name_is_keras_own(tensors, given, x):
    inputs = calls(x)[tensors]
    layer = make()
    theirs = like_keras(layer, *(i.shape for i in inputs))
    mask = np.arange(TOKENS)[None] < np.array([[3], [5]])
    # Keras's layer takes two tensors at least.
    whole = inputs if len(inputs) > 1 else (x, x)
    expected = theirs(*whole, **{given: mask})
    if (tensors, given) == ("one", "query_mask"):
        expected = theirs(*whole, query_mask=mask, value_mask=mask)
    # At padding, Keras's layer averages over what may not be seen.
    real = mask if given == "query_mask" else np.ones_like(mask)
    found = layer(*inputs, **{given: mask})
    assert worst(found[real], expected[real]) < 1e-5


@pytest.mark.parametrize("given", ["value_mask", "key_mask"])
def test_a_mask_given_by_name_adds_to_that_of_the_tensor_that_stands_in(given, x):
    layer = make("l1_norm")
    carried = np.arange(TOKENS)[None] < np.array([[6], [5]])
    mask = np.arange(TOKENS)[None] > np.array([[0], [2]])
    pairs = carried[:, :, None] & (carried & mask)[:, None]
    expected = layer(x, attention_mask=pairs)
    assert worst(layer(with_mask(x, carried), **{given: mask}), expected) < 1e-6
    assert worst(layer(x, mask=carried, **{given: mask}), expected) < 1e-6


def test_the_mask_is_passed_on_and_the_callers_tensor_left_alone(x):
    mask = np.arange(TOKENS)[None] < np.array([[3], [6]])
    masked = with_mask(x, mask)
    value = masked.numpy().copy()
    output = make()(masked)
    assert (output._keras_mask.numpy() == mask).all()
    assert (masked._keras_mask.numpy() == mask).all()
    assert worst(masked, value) == 0


def test_in_a_model_the_embeddings_mask_reaches_a_lone_query():
    """Keras's own layer ignores it there."""
    tokens = keras.Input((None,), dtype="int32")
    embedded = keras.layers.Embedding(9, FEATURES, mask_zero=True)(tokens)
    model = keras.Model(tokens, make("differential")(embedded))
    short = np.array([[3, 1, 4]])
    padded = np.array([[3, 1, 4, 0, 0, 0]])
    assert worst(model(padded)[:, :3], model(short)) < 1e-6


@pytest.mark.parametrize("attention_type", ATTENTION_TYPES)
def test_symbolic_shapes_are_the_real_ones(attention_type, x, y):
    layer = make(attention_type)
    inputs = keras.Input((TOKENS, FEATURES)), keras.Input((KEYS, 17))
    symbolic = layer(*inputs, return_attention_scores=True)
    real = layer(x, y, return_attention_scores=True)
    for one, other in zip(symbolic, real, strict=True):
        assert one.shape == (None, *other.shape[1:])
    lone = layer(*inputs)
    assert lone.shape == (None, TOKENS, EMBED)
    assert layer.compute_output_shape((None, None, 13)) == (None, None, EMBED)


@pytest.mark.parametrize("attention_type", ATTENTION_TYPES)
def test_any_number_of_tokens_and_sequences(attention_type, x):
    layer = make(attention_type)
    compiled = tf.function(
        layer, input_signature=[tf.TensorSpec((None, None, FEATURES))]
    )
    for tokens in (1, 2, TOKENS):
        assert worst(compiled(x[:, :tokens]), layer(x[:, :tokens])) < 1e-6


@pytest.mark.parametrize(
    ("known", "features", "shape"),
    weekly_unless(
        lambda *case: (
            case
            in {
                (False, FEATURES, (0, TOKENS)),
                (False, 2, (BATCH, 0)),  # so few features go straight to heads
                (True, FEATURES, (BATCH, 0)),
            }
        ),
        itertools.product((True, False), (FEATURES, 2), ((0, TOKENS), (BATCH, 0))),
    ),
)
@pytest.mark.parametrize("attention_type", ATTENTION_TYPES)
def test_no_sequences_and_no_tokens(attention_type, known, features, shape):
    layer = make(attention_type)
    x = tf.zeros((*shape, features))
    mask = tf.zeros(shape, bool)
    call = tf.function(
        lambda x, mask: layer(x, query_mask=mask),
        input_signature=None
        if known
        else [
            tf.TensorSpec((None, None, features)),
            tf.TensorSpec((None, None), tf.bool),
        ],
        autograph=False,
    )
    assert call(x, mask).shape == (*shape, EMBED)
    with tf.GradientTape() as tape:
        tape.watch(x)
        output = layer(x)
    assert output.shape == (*shape, EMBED)
    for slope in tape.gradient(output, [x, *layer.trainable_variables]):
        assert np.isfinite(slope).all()


@pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16"])
@pytest.mark.parametrize("attention_type", ATTENTION_TYPES)
def test_mixed_precision_is_finite_on_hard_input(attention_type, policy, x):
    layer = make(attention_type, dtype=policy)
    output, weights = layer(50 * x, return_attention_scores=True)
    assert output.dtype == weights.dtype == layer.compute_dtype
    assert np.isfinite(tf.cast(output, "float32")).all()
    for g in gradients(lambda x: tf.cast(layer(x), "float32"), 50 * x):
        assert np.isfinite(g).all()


def test_every_argument_is_in_the_config():
    given = {
        "dropout": 0.1,
        "attention_type": "l1_norm",
        "scale": 0.5,
        "use_bias": False,
        "kernel_initializer": keras.initializers.HeNormal(seed=3),
        "bias_initializer": keras.initializers.Constant(0.5),
        "kernel_regularizer": keras.regularizers.L2(0.1),
        "bias_regularizer": keras.regularizers.L1(0.1),
        "kernel_constraint": keras.constraints.NonNeg(),
        "bias_constraint": keras.constraints.MaxNorm(2),
        "seed": 7,
        "name": "mine",
        "dtype": "float64",
    }
    layer = CustomMultiheadAttention(8, 2, **given)
    config = layer.get_config()
    again = CustomMultiheadAttention.from_config(config)
    assert again.get_config() == config
    for name in given:
        saved = config[name]
        if isinstance(saved, dict):
            assert saved["class_name"] in repr(given[name]) or name == "dtype"
        else:
            assert saved == given[name]


@pytest.mark.parametrize("attention_type", ATTENTION_TYPES)
def test_a_saved_model_answers_the_same(attention_type, x, tmp_path):
    inputs = keras.Input((TOKENS, FEATURES))
    model = keras.Model(inputs, make(attention_type, scale=0.3)(inputs))
    model.save(tmp_path / "model.keras")
    again = keras.models.load_model(tmp_path / "model.keras")
    assert worst(again(x), model(x)) == 0
    assert again.layers[1].attention_type == attention_type


def test_differential_does_not_change_with_the_number_of_heads(x):
    outputs = []
    for heads in (1, 3, 15):
        layer = CustomMultiheadAttention(
            EMBED, heads, attention_type="differential", scale=0.7
        )
        layer.build(x.shape)
        rng = np.random.default_rng(0)
        layer.set_weights([rng.normal(size=w.shape) for w in layer.weights])
        outputs.append(layer(x))
    assert worst(outputs[0], outputs[1]) < 1e-6
    assert worst(outputs[0], outputs[2]) < 1e-6
    as_sum = CustomMultiheadAttention(
        EMBED, EMBED, attention_type="differentialSum", scale=0.7
    )
    as_sum.build(x.shape)
    as_sum.set_weights(layer.get_weights())
    assert worst(as_sum(x), outputs[0]) < 1e-5


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"attention_type": "dot"}, "attention_type must be one of scaled_dot_product"),
        ({"num_heads": 4}, "divisible by num_heads.*embed_dim=15, num_heads=4"),
        ({"embed_dim": 0}, "embed_dim must be a positive integer.*embed_dim=0"),
        ({"num_heads": 3.0}, "num_heads must be a positive integer.*num_heads=3.0"),
        ({"dropout": 1.0}, "dropout must be a finite number, at least 0 and below 1"),
        ({"scale": float("inf")}, "scale must be a finite number.*scale=inf"),
        ({"seed": -1}, "seed must be an integer of at least 0.*seed=-1"),
        (
            {"attention_type": ["l1_norm"]},
            r"_product, .*, differential, relative_bias, .*_type=\['l1_norm'\]",
        ),
    ],
)
def test_bad_arguments_are_named(arguments, message):
    good = {"embed_dim": 15, "num_heads": 3}
    with pytest.raises(ValueError, match=message):
        CustomMultiheadAttention(**{**good, **arguments})


def test_numpys_numbers_are_as_good_as_pythons(x):
    given = {
        "dropout": np.float32(0.5),
        "scale": np.float64(0.5),
        "seed": np.int64(3),
    }
    layer = CustomMultiheadAttention(np.int64(15), np.int32(3), **given)
    assert layer(x, training=True).shape == (BATCH, TOKENS, 15)
    written = json.dumps(layer.get_config())
    again = CustomMultiheadAttention.from_config(json.loads(written))
    assert (again.embed_dim, again.num_heads) == (15, 3)


def test_bad_inputs_are_named(x, y):
    with pytest.raises(ValueError, match=r"query must have shape.*\(2, 13\)"):
        make()(x[:, 0])
    with pytest.raises(ValueError, match="key and value must have the same"):
        make()(x, y, x)
    with pytest.raises(ValueError, match=r"attention_mask of shape \(2, 7, 5\)"):
        make()(x, attention_mask=np.ones((2, 7, 5), bool))


def test_quantized_projections_are_used_as_quantized():
    """Few features go straight into heads, but not past int8's own product."""
    layer = CustomMultiheadAttention(16, 2)
    x = np.random.default_rng(0).normal(size=(3, 7, 4)).astype("float32")
    before = layer(x).numpy()
    for projection in layer._flatten_layers(include_self=False):
        projection.quantize("int8")
    assert 0 < worst(layer(x), before) < 0.05 * abs(before).max()


def test_one_head_of_more_features_than_the_input_has():
    """TensorFlow on oneDNN gets a batch times one matrix with a bias column wrong."""
    x = np.random.default_rng(0).normal(size=(4, 100, 8)).astype("float32")
    layer = CustomMultiheadAttention(16, 1, bias_initializer="normal")
    theirs = keras.layers.MultiHeadAttention(1, 16, output_shape=16)
    layer.build(x.shape)
    theirs.build(x.shape, x.shape)
    theirs.set_weights(
        [
            mine.numpy().reshape(their.shape)
            for mine, their in zip(layer.weights, theirs.weights, strict=True)
        ]
    )
    assert worst(layer(x), theirs(x, x)) < 1e-5
