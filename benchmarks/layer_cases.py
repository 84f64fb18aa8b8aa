"""Our layer alone: a training step in two modes, and a token with the cache.

A case is ``layer MODE TYPE``, with the mode ``eager`` or ``function`` for a training
step under a tape, ``whole`` for a causal pass over a text, and ``token`` for the last
token of it, the others in the cache.
"""

import numpy as np
import tensorflow as tf

from benchmarks.sizes import EMBEDDING, HEADS
from diffattn.attention.layer import CustomMultiheadAttention


def make_step(name, batch, tokens, embed_dim, spread):
    _, mode, attention_type = name.split()
    heads = HEADS if embed_dim > 64 else 4
    layer = CustomMultiheadAttention(embed_dim, heads, attention_type=attention_type)
    features = EMBEDDING if mode in ("token", "whole") else embed_dim
    rng = np.random.default_rng(0)
    x = tf.constant(rng.normal(0, spread or 1, (batch, tokens, features)), tf.float32)
    layer(x)
    # Only this mode's: what another one runs first would count as its memory.
    make = {"eager": _eager, "function": _function, "whole": _whole, "token": _token}
    return make[mode](layer, x)


def _eager(layer, x):
    return lambda: _train(layer, x)


def _function(layer, x):
    compiled = tf.function(_train)
    return lambda: compiled(layer, x)


def _train(layer, x):
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(layer(x))
    return tape.gradient(loss, layer.trainable_variables)


def _whole(layer, x):
    run = tf.function(lambda x: layer(x, use_causal_mask=True))
    return lambda: run(x).numpy()


def _token(layer, x):
    batch, tokens, _ = x.shape
    run = tf.function(
        lambda x, cache, index: layer(x, cache=cache, cache_update_index=index)
    )
    empty = layer.make_cache(batch, tokens)
    _, cache = layer(x[:, :-1], cache=empty, cache_update_index=0)
    last, index = x[:, -1:], tf.constant(tokens - 1)
    return lambda: run(last, cache, index)[0].numpy()
