"""How the embedding starts, and what a softmax then sees of it."""

import keras
import numpy as np
from keras import ops

from diffattn.attention.layer import CustomMultiheadAttention
from diffattn.checks import check_int, check_number
from diffattn.training.layers import TokenEmbedding


def largest_weight(
    attention_type: str,
    spread: float,
    *,
    embedding_dim: int = 16,
    embed_dim: int = 64,
    num_heads: int = 8,
    scale: float | None = None,
    tokens: int = 250,
    texts: int = 4,
    seed: int = 0,
) -> float:
    """Measure how uneven the attention weights are before anything is learned.

    Random tokens are embedded by normal numbers of a given deviation, and attend as
    Keras starts the layer. Weights that are all alike are 1 / tokens; only where they
    differ can a gradient tell one token from another.

    Args:
        attention_type: one of `diffattn.ATTENTION_TYPES`, or another registered name.
        spread: the standard deviation of the embedding, 0 or more. Keras's uniform
            numbers within 0.05 have 0.029.
        embedding_dim, embed_dim, num_heads, scale: as for
            `diffattn.training.model.build_classifier`.
        tokens: int, tokens of a text, all different.
        texts: int, how many.
        seed: int, of embedding, layer and texts.

    Returns:
        The mean over all queries (and heads, features and texts) of the largest weight,
        times the number of tokens: 1 where all are alike, `tokens` where one has all.

    Raises:
        ValueError: if a number is out of its bounds.
    """
    check_number("spread", spread, 0)
    check_int("tokens", tokens)
    check_int("texts", texts)
    embedding = TokenEmbedding(
        tokens * texts,
        embedding_dim,
        embeddings_initializer=keras.initializers.RandomNormal(
            stddev=spread, seed=seed
        ),
    )
    layer = CustomMultiheadAttention(
        embed_dim,
        num_heads,
        attention_type=attention_type,
        scale=scale,
        kernel_initializer=keras.initializers.GlorotUniform(seed=seed + 1),
    )
    numbers = np.arange(texts * tokens, dtype="int32").reshape(texts, tokens)
    _, weights = layer(embedding(numbers), return_attention_scores=True)
    return tokens * float(ops.mean(ops.max(weights, axis=3)))
