"""The documented classifier: embedding → attention → mean → logit."""

import math

import keras
import numpy as np
from keras import ops

from diffattn.attention.layer import CustomMultiheadAttention
from diffattn.checks import (
    check_choice,
    check_heads,
    check_int,
    check_number,
    check_scale,
    check_seed,
)
from diffattn.training.config import MODEL_TYPES


@keras.saving.register_keras_serializable(package="diffattn")
class TokenEmbedding(keras.layers.Embedding):
    """Keras's Embedding, with one gradient a token, whatever the backend.

    With TensorFlow, Keras 3 gives the optimizer one gradient for each occurrence
    of a token. Adam must divide by the root of the squared sum over the
    occurrences; it then gets the sum of their squares instead, and a token that
    stands n times in a batch, padding most of all, takes steps up to √n times
    too long.

    Its arguments are those of `keras.layers.Embedding`: ``input_dim`` tokens,
    ``output_dim`` features, ``mask_zero`` and the others. It is called with an int
    tensor of tokens in [0, input_dim), of shape (B, T).

    Returns:
        A tensor of shape (B, T, output_dim); with ``mask_zero`` it carries the mask
        of shape (B, T) that is True where a token is not 0.
    """

    def call(self, inputs):
        # The gradient of a product is dense: the occurrences are summed.
        table = ops.multiply(self.embeddings, 1.0)
        return ops.cast(ops.take(table, inputs, axis=0), self.compute_dtype)


@keras.saving.register_keras_serializable(package="diffattn")
class MeanOverTokens(keras.layers.GlobalAveragePooling1D):
    """The mean over the tokens that a mask leaves, 0 where it leaves none.

        y_c = Σ_n m_n x_nc / max(1, Σ_n m_n)

    Keras's own layer divides 0 by 0 there: for an empty review. It is called with a
    tensor of shape (B, T, F) or (B, F, T), and a boolean mask of shape (B, T), True at
    the tokens that count, which Keras fills in from what the inputs carry.

    Args:
        data_format: "channels_last" for (B, T, F), "channels_first" for (B, F, T);
            by default Keras's own, as a rule the first.
        keepdims: bool, whether the tokens' axis stays, with length 1.
        **kwargs: those of `keras.layers.Layer`.

    Returns:
        A tensor of shape (B, F); with ``keepdims`` (B, 1, F) or (B, F, 1).
    """

    def call(self, inputs, mask=None):
        if mask is None:
            return super().call(inputs)
        tokens, features = (1, 2) if self.data_format == "channels_last" else (2, 1)
        mask = ops.expand_dims(ops.cast(mask, "bool"), features)
        how = {"axis": tokens, "keepdims": self.keepdims}
        count = ops.sum(ops.cast(mask, inputs.dtype), **how)
        return ops.sum(ops.where(mask, inputs, 0), **how) / ops.maximum(count, 1)


@keras.saving.register_keras_serializable(package="diffattn")
class PositionalEncoding(keras.layers.Layer):
    """Adds to each token's embedding what says where the token stands.

    With n the position and F the number of features,

        y_{n,2c} = √F x_{n,2c} + sin(n / 10000^{2c/F})
        y_{n,2c+1} = √F x_{n,2c+1} + cos(n / 10000^{2c/F})

    as in Vaswani et al. (2017), who stretch the embedding by √F likewise. It is called
    with a floating-point tensor of shape (B, T, F) with a known F.

    Args:
        **kwargs: those of `keras.layers.Layer`.

    Returns:
        A tensor of the same shape and dtype; it carries the mask of the inputs.
    """

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.supports_masking = True

    def call(self, inputs):
        tokens, features = ops.shape(inputs)[1], inputs.shape[-1]
        positions = ops.cast(ops.arange(tokens), "float32")[:, None]
        even = np.arange(features) // 2 * 2
        angles = positions / ops.cast(10_000.0 ** (even / features), "float32")
        waves = ops.where(
            np.arange(features) % 2 == 0, ops.sin(angles), ops.cos(angles)
        )
        return math.sqrt(features) * inputs + ops.cast(waves, inputs.dtype)


def build_classifier(
    attention_type: str = "scaled_dot_product",
    *,
    embed_dim: int = 512,
    num_heads: int = 8,
    attention_dropout: float = 0.0,
    scale: float | None = None,
    vocabulary_size: int = 10_000,
    sequence_length: int | None = 250,
    embedding_dim: int = 16,
    positional_encoding: bool = False,
    mask_padding: bool = False,
    dropout: float = 0.2,
    seed: int | None = None,
) -> keras.Model:
    """The text classifier of the documentation, with attention that runs.

    Tokens → Embedding → `CustomMultiheadAttention` → mean over the tokens →
    Dropout → one unit, the logit of "positive".

    Args:
        attention_type: one of `diffattn.ATTENTION_TYPES`, or "none" for the
            mean-pooled baseline without an attention layer.
        embed_dim, num_heads, scale: of the attention layer, checked also where
            "none" leaves it out.
        attention_dropout: rate in [0, 1), of the attention weights.
        vocabulary_size: int; as documented, the embedding has one row more.
        sequence_length: int or None, tokens of a review; None for any.
        embedding_dim: int, features of a token's embedding.
        positional_encoding: bool, whether to add `PositionalEncoding` to it.
        mask_padding: bool, whether token 0 is left out of attention and mean.
            The published script did not mask it.
        dropout: rate in [0, 1), before the last layer.
        seed: int in [0, 2**31) or None, of the initial weights and the dropouts.
            With a seed, they are the same whatever else draws random numbers in the
            process.

    Returns:
        An uncompiled `keras.Model`: int tokens of shape (B, sequence_length) to
        logits of shape (B, 1).

    Raises:
        ValueError: on a value out of its bounds; the message names it.

    Example:
        >>> model = build_classifier("differential", embed_dim=64, num_heads=4)
    """
    check_choice("attention_type", attention_type, MODEL_TYPES)
    check_heads(embed_dim, num_heads)
    check_scale(scale)
    check_seed(seed)
    check_int("vocabulary_size", vocabulary_size)
    check_int("embedding_dim", embedding_dim)
    if sequence_length is not None:
        check_int("sequence_length", sequence_length)
    check_number("attention_dropout", attention_dropout, 0, 1)
    check_number("dropout", dropout, 0, 1)
    check_choice("positional_encoding", positional_encoding, (True, False))
    check_choice("mask_padding", mask_padding, (True, False))
    # Keras does not take NumPy's.
    seed = None if seed is None else int(seed)
    of_embedding, of_attention, of_logit = _seeds(seed, 3)
    tokens = keras.Input((sequence_length,), dtype="int32", name="tokens")
    x = TokenEmbedding(
        int(vocabulary_size) + 1,
        int(embedding_dim),
        embeddings_initializer=keras.initializers.RandomUniform(seed=of_embedding),
        mask_zero=mask_padding,
        name="embedding",
    )(tokens)
    if positional_encoding:
        x = PositionalEncoding(name="positions")(x)
    if attention_type != "none":
        x = CustomMultiheadAttention(
            embed_dim,
            num_heads,
            dropout=attention_dropout,
            attention_type=attention_type,
            scale=scale,
            kernel_initializer=keras.initializers.GlorotUniform(seed=of_attention),
            seed=seed,
            name="attention",
        )(x)
    x = MeanOverTokens(data_format="channels_last", name="mean")(x)
    x = keras.layers.Dropout(dropout, seed=seed, name="dropout")(x)
    initializer = keras.initializers.GlorotUniform(seed=of_logit)
    logit = keras.layers.Dense(
        1, kernel_initializer=initializer, dtype="float32", name="logit"
    )(x)
    return keras.Model(tokens, logit, name=f"classifier_{attention_type}")


def _seeds(seed, count):
    """Seeds that have nothing to do with each other, or None for each."""
    if seed is None:
        return [None] * count
    return [int(n) for n in np.random.SeedSequence(seed).generate_state(count) >> 1]
