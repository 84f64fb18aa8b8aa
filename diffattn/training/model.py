"""The documented classifier, embedding → attention → mean → logit, and its options."""

import keras
import numpy as np

from diffattn.attention.layer import CustomMultiheadAttention
from diffattn.checks import check_heads, check_int, check_seed
from diffattn.names import BASELINE
from diffattn.training.config import check_model, check_settings
from diffattn.training.layers import (
    PositionalEncoding,
    TokenConvolution,
    TokenEmbedding,
)
from diffattn.training.task import get_task


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
    embedding_spread: float | None = None,
    causal: bool = False,
    convolution: int = 1,
    layers: int = 1,
    block: bool = False,
    mask_padding: bool = False,
    dropout: float = 0.2,
    task: str = "sentiment",
    outputs: int = 1,
    seed: int | None = None,
) -> keras.Model:
    """Build the text classifier of the documentation, with attention that runs.

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
        positional_encoding: bool, whether to add sines and cosines of the
            position to it.
        embedding_spread: float or None, standard deviation of the normal numbers that
            the embedding starts from; None for Keras's uniform ones in ±0.05.
        causal: bool, whether a token attends only to itself and to those before it,
            and whether the convolution, too, looks back alone.
        convolution: int, tokens that a convolution with ReLU and ``embed_dim`` filters
            sees, between embedding (with positions) and attention; 1 for none. With
            "none" it alone stands before the mean.
        layers: int, attention layers one after the other, which are named
            "attention", "attention_2", …
        block: bool, whether each attention layer is in a pre-norm Transformer block:
            y = x + attention(norm(x)), then y + dense(relu(dense(norm(y)))), with
            4 · ``embed_dim`` features inside.
        mask_padding: bool, whether token 0 is left out of attention and mean.
            The published script did not mask it.
        dropout: rate in [0, 1), before the last layer.
        task: a key of `diffattn.training.task.TASKS`, which pools the tokens: the
            mean over them for "sentiment".
        outputs: int, number of logits.
        seed: int in [0, 2**31) or None, of the initial weights and the dropouts.
            With a seed, they are the same whatever else draws random numbers in the
            process.

    Returns:
        An uncompiled `keras.Model`: int tokens of shape (B, sequence_length) to
        logits of shape (B, outputs), or (B, sequence_length, outputs) for a task
        that does not pool. On TensorFlow, its method ``export`` writes a SavedModel,
        or with ``format="onnx"`` or ``"litert"`` a file for ONNX Runtime or LiteRT,
        that other programs run without this package. Keras exports to ONNX only what
        has been called before.

    Raises:
        ValueError: on a value out of its bounds, or options that do not go together
            (see `diffattn.training.config.check_model`); the message names them.

    Example:
        >>> model = build_classifier("differential", embed_dim=64, num_heads=4)
        >>> model.output_shape
        (None, 1)
    """
    check_settings(
        attention_type=attention_type,
        scale=scale,
        attention_dropout=attention_dropout,
        embedding_dim=embedding_dim,
        positional_encoding=positional_encoding,
        embedding_spread=embedding_spread,
        causal=causal,
        convolution=convolution,
        layers=layers,
        block=block,
        mask_padding=mask_padding,
        dropout=dropout,
    )
    check_heads(embed_dim, num_heads)
    check_model(
        attention_type=attention_type,
        causal=causal,
        layers=layers,
        block=block,
        embedding_dim=embedding_dim,
        embed_dim=embed_dim,
    )
    check_seed(seed)
    check_int("vocabulary_size", vocabulary_size)
    check_int("outputs", outputs)
    if sequence_length is not None:
        check_int("sequence_length", sequence_length)
    pool = get_task(task).pool
    # Keras does not take NumPy's.
    seed = None if seed is None else int(seed)
    of_embedding, of_attention, of_logit, of_convolution, *of_blocks = _seeds(
        seed, 4 + 3 * layers
    )
    tokens = keras.Input((sequence_length,), dtype="int32", name="tokens")
    x = TokenEmbedding(
        int(vocabulary_size) + 1,
        int(embedding_dim),
        embeddings_initializer=_embeddings(embedding_spread, of_embedding),
        mask_zero=mask_padding,
        name="embedding",
    )(tokens)
    if positional_encoding:
        x = PositionalEncoding(name="positions")(x)
    if convolution > 1:
        x = TokenConvolution(
            int(embed_dim),
            int(convolution),
            padding="causal" if causal else "same",
            activation="relu",
            kernel_initializer=keras.initializers.GlorotUniform(seed=of_convolution),
            name="convolution",
        )(x)
    if attention_type != BASELINE:
        for number in range(1, layers + 1):
            of_this, *of_dense = of_blocks[3 * number - 3 : 3 * number]
            first = number == 1
            attention = CustomMultiheadAttention(
                embed_dim,
                num_heads,
                dropout=attention_dropout,
                attention_type=attention_type,
                scale=scale,
                kernel_initializer=keras.initializers.GlorotUniform(
                    seed=of_attention if first else of_this
                ),
                seed=seed if first else of_this,
                name=_numbered("attention", number),
            )
            if block:
                x = _in_block(attention, x, causal, number, of_dense)
            else:
                x = attention(x, use_causal_mask=causal)
    if pool is not None:
        x = pool()(x)
    x = keras.layers.Dropout(dropout, seed=seed, name="dropout")(x)
    initializer = keras.initializers.GlorotUniform(seed=of_logit)
    logit = keras.layers.Dense(
        int(outputs), kernel_initializer=initializer, dtype="float32", name="logit"
    )(x)
    return keras.Model(tokens, logit, name="classifier")


def _embeddings(spread, seed):
    """What the embedding starts from."""
    if spread is None:
        return keras.initializers.RandomUniform(seed=seed)
    return keras.initializers.RandomNormal(stddev=spread, seed=seed)


def _in_block(attention, x, causal, number, seeds):
    """A pre-norm Transformer block around an attention layer, applied to x."""

    def normalized(x, what):
        name = _numbered(f"{what}_norm", number)
        return keras.layers.LayerNormalization(name=name)(x)

    def dense(x, features, activation, seed, what):
        return keras.layers.Dense(
            features,
            activation,
            kernel_initializer=keras.initializers.GlorotUniform(seed=seed),
            name=_numbered(what, number),
        )(x)

    # Layers, not "+": these hand on the mask.
    attended = attention(normalized(x, "attention"), use_causal_mask=causal)
    x = keras.layers.Add(name=_numbered("attention_sum", number))([x, attended])
    features = x.shape[-1]
    inner = dense(normalized(x, "dense"), 4 * features, "relu", seeds[0], "dense_wide")
    inner = dense(inner, features, None, seeds[1], "dense")
    return keras.layers.Add(name=_numbered("dense_sum", number))([x, inner])


def _numbered(name, number):
    """The name of a layer: from the second attention layer on, with its number."""
    return name if number == 1 else f"{name}_{number}"


def _seeds(seed, count):
    """Seeds that have nothing to do with each other, or None for each.

    The first ones are the same for every count: an option's own seeds come behind.
    """
    if seed is None:
        return [None] * count
    return [int(n) for n in np.random.SeedSequence(seed).generate_state(count) >> 1]
