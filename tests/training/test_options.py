"""The classifier's options; the truth is NumPy, Keras's initializers, and theorems."""

import keras
import numpy as np
import pytest
import reference
from tools import worst

from diffattn import build_classifier, load_run, train
from diffattn.training.config import Config

OPTIONS = {
    "causal": {"causal": True},
    "convolution": {"convolution": 2},
    "causal convolution": {"convolution": 3, "causal": True},
    "layers": {"layers": 3},
    "block": {"block": True},
    "all": {"causal": True, "convolution": 2, "layers": 2, "block": True},
}
TOKENS = np.random.default_rng(0).integers(1, 20, (3, 7))


def small(attention_type="scaled_dot_product", **options):
    """A classifier whose weights are all random, the biases too."""
    settings = {"embed_dim": 6, "num_heads": 2, "embedding_dim": 6, "seed": 3}
    settings |= {"vocabulary_size": 20, "sequence_length": None}
    model = build_classifier(attention_type, **{**settings, **options})
    random = np.random.default_rng(1)
    for weight in model.trainable_weights:
        weight.assign(random.normal(size=weight.shape))
    return model


def weights(model, name):
    return [w.astype("float64") for w in model.get_layer(name).get_weights()]


def attention(x, projections, causal):
    """Multi-head attention by the specification, projected by four kernels, biases."""
    kernels, biases = projections[::2], projections[1::2]

    def heads(kernel, bias):
        return (x @ kernel + bias).reshape(*x.shape[:2], 2, 3).transpose(0, 2, 1, 3)

    mask = np.tri(x.shape[1], dtype=bool)[None, None] if causal else None
    q, k, v = (heads(*pair) for pair in zip(kernels[:3], biases[:3], strict=True))
    output, _ = reference.attend(q, k, v, "scaled_dot_product", mask=mask)
    output = output.transpose(0, 2, 1, 3).reshape(x.shape)
    return output @ kernels[3] + biases[3]


def normalized(x, gamma, beta):
    deviation = np.sqrt(x.var(-1, keepdims=True) + 1e-3)
    return gamma * (x - x.mean(-1, keepdims=True)) / deviation + beta


def relu(x):
    return np.maximum(x, 0)


def logit(model, x):
    kernel, bias = weights(model, "logit")
    return x.mean(1) @ kernel + bias


@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("layers", [1, 2])
def test_layers_follow_each_other(layers, causal):
    model = small(layers=layers, causal=causal)
    (table,) = weights(model, "embedding")
    x = table[TOKENS]
    for name in ["attention", "attention_2"][:layers]:
        x = attention(x, weights(model, name), causal)
    assert worst(model(TOKENS), logit(model, x)) < 1e-4


@pytest.mark.parametrize("layers", [1, 2])
def test_a_block_is_the_pre_norm_transformers(layers):
    model = small(layers=layers, block=True)
    (table,) = weights(model, "embedding")
    x = table[TOKENS]
    for end in ["", "_2"][:layers]:
        normal = normalized(x, *weights(model, f"attention_norm{end}"))
        x = x + attention(normal, weights(model, f"attention{end}"), causal=False)
        wide, wide_bias = weights(model, f"dense_wide{end}")
        narrow, narrow_bias = weights(model, f"dense{end}")
        assert wide.shape == (6, 24)
        normal = normalized(x, *weights(model, f"dense_norm{end}"))
        x = x + relu(normal @ wide + wide_bias) @ narrow + narrow_bias
    assert worst(model(TOKENS), logit(model, x)) < 1e-4


@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("width", [2, 3])
def test_a_convolution_is_the_sum_over_its_window(width, causal):
    padded = np.pad(TOKENS, [(0, 0), (0, 2)])
    model = small(convolution=width, causal=causal, mask_padding=True)
    (table,), (kernel, bias) = (
        weights(model, "embedding"),
        weights(model, "convolution"),
    )
    x = table[TOKENS]
    before = width - 1 if causal else (width - 1) // 2
    around = np.pad(x, [(0, 0), (before, width - 1 - before), (0, 0)])
    expected = relu(
        sum(around[:, n : n + x.shape[1]] @ kernel[n] for n in range(width)) + bias
    )
    seen = keras.Model(model.input, model.get_layer("convolution").output)
    assert worst(seen(padded)[:, : x.shape[1]], expected) < 1e-5


def test_a_convolution_alone_stands_before_the_mean():
    model = small("none", convolution=2, mask_padding=True)
    names = [layer.name for layer in model.layers]
    assert names == ["tokens", "embedding", "convolution", "mean", "dropout", "logit"]
    seen = keras.Model(model.input, model.get_layer("convolution").output)
    expected = logit(model, seen(TOKENS).numpy().astype("float64"))
    assert worst(model(TOKENS), expected) < 1e-5


@pytest.mark.parametrize("attention_type", ["scaled_dot_product", "differentialSum"])
@pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS)
def test_padding_changes_nothing(attention_type, options):
    model = small(attention_type, mask_padding=True, **options)
    padded, expected = np.pad(TOKENS, [(0, 0), (0, 4)]), model(TOKENS)
    # Two layers make logits of hundreds, with as much larger rounding errors.
    error = 1e-5 * max(1, np.abs(expected).max())
    assert worst(model(padded), expected) < error


@pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS)
def test_only_a_causal_classifier_has_no_way_back(options):
    """What a token becomes depends on those before it, and on later ones or not."""
    model = small(**options)
    seen = keras.Model(model.input, model.get_layer("mean").input)
    changed = TOKENS.copy()
    changed[:, 4] = TOKENS[:, 4] % 19 + 1
    moved = np.abs(seen(changed) - seen(TOKENS)).max((0, 2))
    assert (moved[4:] > 1e-3).any()
    if options.get("causal"):
        assert (moved[:4] < 1e-6).all()
    else:
        assert (moved[:4] > 1e-4).any()


@pytest.mark.parametrize("options", [{}, *OPTIONS.values()], ids=["none", *OPTIONS])
def test_what_there_was_before_the_options_starts_as_it_did(options):
    """Three seeds of one sequence, by Keras's initializers: embedding, query, logit."""
    seeds = np.random.SeedSequence(5).generate_state(3) >> 1
    model = build_classifier(
        embed_dim=6, num_heads=2, embedding_dim=6, vocabulary_size=20, seed=5, **options
    )
    of = [int(seed) for seed in seeds]
    table = keras.initializers.RandomUniform(seed=of[0])((21, 6))
    assert worst(model.get_layer("embedding").embeddings, table) == 0
    query = keras.initializers.GlorotUniform(seed=of[1])((6, 6))
    assert worst(model.get_layer("attention").query_projection.kernel, query) == 0
    last = keras.initializers.GlorotUniform(seed=of[2])((6, 1))
    assert worst(model.get_layer("logit").kernel, last) == 0


def test_each_layer_starts_with_weights_of_its_own():
    model = build_classifier(
        embed_dim=6, num_heads=2, embedding_dim=6, layers=2, block=True, seed=5
    )
    kernels = [w.numpy().ravel()[:4] for w in model.weights if len(w.shape) == 2]
    assert len({kernel.tobytes() for kernel in kernels}) == len(kernels) == 14


def test_the_embeddings_spread_is_its_standard_deviation():
    how = {"vocabulary_size": 2000, "embedding_dim": 50, "seed": 1}
    table = build_classifier("none", embedding_spread=0.3, **how).get_weights()[0]
    # 100,000 numbers: the standard error is 0.3 / √200,000.
    assert table.std() == pytest.approx(0.3, abs=0.003)
    assert abs(table).max() > 1
    usual = build_classifier("none", **how).get_weights()[0]
    assert abs(usual).max() <= 0.05


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"attention_type": "none", "layers": 2}, "layers is of the atten.*layers=2"),
        ({"attention_type": "none", "causal": True}, "causal is of .*causal=True"),
        ({"attention_type": "none", "block": True}, "block is of .*block=True"),
        ({"block": True}, r"block=True needs .*embedding_dim=16, embed_dim=8"),
        ({"layers": 0}, "layers must be a positive integer.*layers=0"),
        ({"convolution": 0}, "convolution must be a positive.*convolution=0"),
        ({"embedding_spread": -1}, "embedding_spread must be a finite.*spread=-1"),
        ({"causal": 2}, "causal must be one of True, False"),
    ],
)
@pytest.mark.parametrize("make", [build_classifier, Config])
def test_what_does_not_go_together_is_named(make, settings, message):
    with pytest.raises(ValueError, match=message):
        make(**{"embed_dim": 8, "num_heads": 2, **settings})


def test_a_run_with_all_options_is_saved_and_loaded(tmp_path):
    options = {**OPTIONS["all"], "positional_encoding": True, "embedding_spread": 0.3}
    run = train(
        output=tmp_path,
        verbose=0,
        epochs=1,
        batch_size=500,
        embedding_dim=32,
        **options,
    )
    loaded = load_run(run.path)
    assert loaded.config == run.config
    assert loaded.right == run.right != {}
    texts = ["not good but fun", "not fun but good"]
    assert worst(loaded.predict(texts), run.predict(texts)) < 1e-6
    _, scores = loaded.attention(texts[0])
    assert worst(scores.sum(-1), np.ones((4, 4))) < 1e-5
    assert not np.triu(scores, 1).any()
