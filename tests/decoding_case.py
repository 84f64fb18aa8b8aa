"""Decoding with a cache against the whole text: for `test_cache`, and as a program.

With a backend of its own, by KERAS_BACKEND, it prints each kind's largest error, with
the loop compiled where the backend compiles one.
"""

import keras
import numpy as np
from keras import ops

from diffattn import ATTENTION_TYPES, CustomMultiheadAttention
from diffattn.attention.kernels.shift import previous
from diffattn.attention.registry import Score

BATCH, TOKENS, FEATURES, EMBED, HEADS = 2, 9, 6, 8, 2
KINDS = (
    *ATTENTION_TYPES,
    "differentialSum(lag=3)",
    "differentialSum(lag=(1, 4))",
    "differentialSum(coefficient=0)",
    "differentialSum(lag=2, coefficient=0.5, learned=True)",
    "differential(lag=11)",
    "differential(lag=(2, 1), coefficient=0.5, learned=True)",
    "relative_bias",
    "relative_bias(buckets=4, max_distance=3)",
    "rotary",
    "smeared_keys",
    "multi_token",
)


def inputs(seed=0):
    shape = BATCH, TOKENS, FEATURES
    return np.random.default_rng(seed).normal(size=shape).astype("float32")


def make(attention_type, **options):
    """A layer whose biases and own parameters are drawn, so that none can hide."""
    layer = CustomMultiheadAttention(
        EMBED, HEADS, attention_type=attention_type, **options
    )
    layer.build((None, None, FEATURES))
    rng = np.random.default_rng(3)
    layer.set_weights([0.5 * rng.normal(size=w.shape) for w in layer.weights])
    return layer


def decode(layer, x, ends):
    """The outputs of several calls, each from where the one before ended."""
    cache, outputs, start = layer.make_cache(BATCH, TOKENS + 2), [], 0
    for end in ends:
        output, cache = layer(x[:, start:end], cache=cache, cache_update_index=start)
        outputs.append(output)
        start = end
    return ops.concatenate(outputs, axis=1)


class Cubed(Score):
    """A score of one's own: (q_i · k_j + q_{i−2} · k_{j−1})³, per head."""

    name = formula = plain_formula = "cubed"
    cost = "two matrix products"
    reach = 2

    def __call__(self, query, key, scale):
        def products(q, k):
            return ops.einsum("bhtd,bhsd->bhts", q, k)

        past = products(previous(query, 2), previous(key))
        return scale * (products(query, key) + past) ** 3


class Undeclared(Cubed):
    reach = None


class ByPlace(Cubed):
    """One that looks back and counts the places, too."""

    uses_places = True

    def __call__(self, query, key, scale, places=None):
        first = 0 if places is None else places.query_offset
        i = ops.arange(ops.shape(query)[2], dtype="int32") + first
        return super().__call__(query, key, scale) * ops.cast(i, "float32")[:, None]


class Block(keras.layers.Layer):
    """A causal Transformer block: attention, then feed-forward, each on its norm."""

    def __init__(self, attention_type):
        super().__init__()
        self.before_attention = keras.layers.LayerNormalization()
        self.attention = CustomMultiheadAttention(
            EMBED, HEADS, attention_type=attention_type
        )
        self.feed_forward = keras.Sequential(
            [
                keras.layers.LayerNormalization(),
                keras.layers.Dense(4 * EMBED, activation="gelu"),
                keras.layers.Dense(EMBED),
            ]
        )

    def build(self, shape):
        self.before_attention.build(shape)
        self.attention.build(shape)
        self.feed_forward.build(shape)

    def call(self, x, cache=None, cache_update_index=None):
        normalized = self.before_attention(x)
        if cache is None:
            x = x + self.attention(normalized, use_causal_mask=True)
            return x + self.feed_forward(x)
        attended, cache = self.attention(
            normalized, cache=cache, cache_update_index=cache_update_index
        )
        x = x + attended
        return x + self.feed_forward(x), cache

    def make_cache(self, batch_size, max_length):
        return self.attention.make_cache(batch_size, max_length)


def in_a_loop(layer, x):
    """Prefill four tokens, then one after the other in one compiled loop."""

    def all_tokens(x):
        cache = layer.make_cache(BATCH, TOKENS)
        first, cache = layer(x[:, :4], cache=cache, cache_update_index=0)
        rest = ops.zeros((BATCH, TOKENS - 4, first.shape[-1]), first.dtype)

        def step(n, carried):
            cache, rest = carried
            token = ops.take(x, n, axis=1)[:, None]
            output, cache = layer(token, cache=cache, cache_update_index=n)
            return cache, ops.slice_update(rest, [0, n - 4, 0], output)

        _, rest = ops.fori_loop(4, TOKENS, step, (cache, rest))
        return ops.concatenate([first, rest], axis=1)

    if keras.config.backend() == "jax":
        import jax

        return jax.jit(all_tokens)(x)
    if keras.config.backend() == "tensorflow":
        import tensorflow as tf

        return tf.function(all_tokens)(tf.constant(x))
    return all_tokens(ops.convert_to_tensor(x))


def main():
    x = inputs()
    for kind in KINDS:
        layer = make(kind, rotary_base=100.0)
        whole = layer(x, use_causal_mask=True)
        print(kind, error(in_a_loop(layer, x), whole))
    block = Block("differentialSum")
    x = np.random.default_rng(0).normal(size=(BATCH, TOKENS, EMBED)).astype("float32")
    whole = block(x)
    print("block", error(in_a_loop(block, x), whole))


def error(found, expected):
    difference = ops.convert_to_numpy(found) - ops.convert_to_numpy(expected)
    return np.abs(difference).max()


if __name__ == "__main__":
    main()
