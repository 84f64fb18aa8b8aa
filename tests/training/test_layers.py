import math

import keras
import numpy as np
import pytest
from tools import worst

from diffattn import build_classifier
from diffattn.training.layers import (
    LastToken,
    MeanOverTokens,
    PositionalEncoding,
    TokenConvolution,
)


def test_repeated_tokens_take_adams_exact_step():
    """Three steps of the baseline in float64 follow Kingma and Ba's formulas."""
    model = build_classifier("none", vocabulary_size=11, dropout=0)
    loss = keras.losses.BinaryCrossentropy(from_logits=True)
    model.compile(keras.optimizers.Adam(0.01), loss, jit_compile=False)
    parts = [w.astype("float64") for w in model.get_weights()]
    first, second = ([np.zeros_like(w) for w in parts] for _ in range(2))
    rng = np.random.default_rng(0)
    labels = np.array([1.0, 0, 1, 0])
    for step in (1, 2, 3):
        tokens = rng.integers(0, 3, (4, 250))  # each token many times
        table, kernel, bias = parts
        mean = table[tokens].mean(1)
        error = 1 / (1 + np.exp(-(mean @ kernel + bias))) - labels[:, None]
        to_mean = error @ kernel.T / 4
        to_table = np.zeros_like(table)
        np.add.at(to_table, tokens, np.repeat(to_mean[:, None] / 250, 250, 1))
        gradients = [to_table, mean.T @ error / 4, error.mean(0)]
        for n, gradient in enumerate(gradients):
            first[n] = 0.9 * first[n] + 0.1 * gradient
            second[n] = 0.999 * second[n] + 0.001 * gradient**2
            rate = 0.01 * np.sqrt(1 - 0.999**step) / (1 - 0.9**step)
            parts[n] = parts[n] - rate * first[n] / (np.sqrt(second[n]) + 1e-7)
        model.train_on_batch(tokens, labels[:, None])
    for actual, expected in zip(model.get_weights(), parts, strict=True):
        assert worst(actual, expected) < 1e-4


@pytest.mark.parametrize("features", [7, 8])
def test_positional_encoding_follows_the_paper(features):
    x = np.random.default_rng(0).normal(size=(2, 30, features))
    expected = math.sqrt(features) * x
    for n in range(30):
        for c in range(features):
            angle = n / 10_000 ** (2 * (c // 2) / features)
            expected[:, n, c] += math.cos(angle) if c % 2 else math.sin(angle)
    assert worst(PositionalEncoding(dtype="float64")(x), expected) < 1e-5


@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("keepdims", [False, True])
@pytest.mark.parametrize("data_format", ["channels_last", "channels_first"])
def test_mean_over_tokens_honours_its_arguments(data_format, keepdims, masked):
    x = np.random.default_rng(0).normal(size=(3, 7, 5))
    mask = np.arange(7) < np.array([[4], [7], [0]]) if masked else np.ones((3, 7), bool)
    expected = np.stack(
        [e[m].mean(0) if m.any() else np.zeros(5) for e, m in zip(x, mask, strict=True)]
    )
    first = data_format == "channels_first"
    if keepdims:
        expected = expected[:, :, None] if first else expected[:, None]
    layer = MeanOverTokens(data_format=data_format, keepdims=keepdims, dtype="float64")
    x[~mask] = np.nan  # masked features must not matter, whatever they are
    inputs = x.swapaxes(1, 2) if first else x
    mean = layer(inputs, mask=mask if masked else None)
    assert worst(mean, expected) < 1e-12
    assert layer.compute_output_shape(inputs.shape) == expected.shape
    copy = MeanOverTokens.from_config(layer.get_config())
    assert worst(copy(inputs, mask=mask if masked else None), expected) < 1e-12


def test_a_convolution_takes_padding_for_zeros_even_if_it_is_nan():
    layer = TokenConvolution(4, 3, padding="same")
    x = np.random.default_rng(0).normal(size=(2, 5, 3)).astype("float32")
    mask = np.arange(5) < [[5], [3]]
    zeros = np.where(mask[..., None], x, 0)
    spoiled = np.where(mask[..., None], x, np.nan)
    assert worst(layer(spoiled, mask=mask), layer(zeros)) == 0
    with pytest.raises(ValueError, match="mask"):
        layer(x, mask=mask[:, :4])


def test_the_last_token_is_taken_without_its_mask():
    x = np.random.default_rng(0).normal(size=(2, 5, 3))
    layer = LastToken(dtype="float64")
    assert worst(layer(x), x[:, 4]) == 0
    assert layer.compute_mask(x, np.ones((2, 5), bool)) is None
