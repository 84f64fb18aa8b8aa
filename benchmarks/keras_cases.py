"""Steps of the documented classifier in Keras: ours and its peers.

A case is a peer's name, for a training step; after the word ``inference`` the step
predicts.
"""

import keras
import numpy as np
from keras import ops

from benchmarks.plan import BROADCAST, INFERENCE, KERAS, THROUGH_WEIGHTS
from benchmarks.sizes import EMBEDDING, HEADS, VOCABULARY
from diffattn.attention.kernels import series
from diffattn.attention.layer import CustomMultiheadAttention
from diffattn.attention.scores import previous
from diffattn.names import MODEL_TYPES
from diffattn.training.fit import compile_classifier
from diffattn.training.layers import MeanOverTokens, TokenEmbedding
from diffattn.training.model import build_classifier


def ours(attention_type):
    def build(tokens, embed_dim):
        return build_classifier(
            attention_type, embed_dim=embed_dim, sequence_length=tokens, seed=0
        )

    return build


def with_attention(make_layer):
    """The documented classifier with another attention layer in the middle."""

    def build(tokens, embed_dim):
        inputs = keras.Input((tokens,), dtype="int32")
        x = TokenEmbedding(VOCABULARY + 1, EMBEDDING)(inputs)
        x = make_layer(embed_dim)(x, x)
        x = MeanOverTokens()(x)
        x = keras.layers.Dropout(0.2, seed=0)(x)
        return keras.Model(inputs, keras.layers.Dense(1, dtype="float32")(x))

    return build


def keras_attention(embed_dim):
    return keras.layers.MultiHeadAttention(
        HEADS, embed_dim // HEADS, output_shape=embed_dim
    )


class Broadcast(CustomMultiheadAttention):
    """The layer as one writes it first: a tensor of B·H·T·S·d, and autodiff."""

    def call(self, query, value=None, key=None):
        q = self._heads(self.query_projection, query, None)
        k = self._heads(self.key_projection, query, None)
        v = self._heads(self.value_projection, query, None)
        a, b = q[:, :, :, None], k[:, :, None]
        if self.attention_type == "differential":
            a1, b1 = previous(q)[:, :, :, None], previous(k)[:, :, None]
            weights = ops.softmax(a1 * (b - b1) + (a - a1) * b, axis=3)
            output = ops.sum(weights * v[:, :, None], axis=3)
        else:
            if self.attention_type == "l1_norm":
                scores = -ops.sum(ops.abs(a - b), axis=-1)
            else:
                scores = -ops.sqrt(ops.sum(ops.square(a - b), axis=-1))
            output = ops.matmul(ops.softmax(scores), v)
        output = ops.transpose(output, (0, 2, 1, 3))
        output = ops.reshape(output, (-1, ops.shape(output)[1], self.embed_dim))
        return self.output_projection(output)


def broadcast(attention_type):
    return with_attention(
        lambda embed_dim: Broadcast(embed_dim, HEADS, attention_type=attention_type)
    )


def through_weights(tokens, embed_dim):
    """`differential` without its series, whatever the scores are."""
    series.DEGREES = ()
    return ours("differential")(tokens, embed_dim)


BUILDERS = {
    **{name: ours(name) for name in MODEL_TYPES},
    THROUGH_WEIGHTS: through_weights,
    KERAS: with_attention(keras_attention),
    **{f"broadcast {name}": broadcast(name) for name in BROADCAST},
}


def make_step(name, batch, tokens, embed_dim, spread):
    """A function that trains on the same batch once, or predicts it."""
    keras.utils.set_random_seed(0)
    word, _, rest = name.partition(" ")
    name = rest if word == INFERENCE else name
    model = compile_classifier(BUILDERS[name](tokens, embed_dim))
    rng = np.random.default_rng(0)
    if spread is not None:
        embeddings = model.weights[0]
        embeddings.assign(rng.normal(0, spread, embeddings.shape))
    x = rng.integers(0, VOCABULARY, (batch, tokens)).astype("int32")
    if word == INFERENCE:
        return lambda: model.predict_on_batch(x)
    y = rng.integers(0, 2, (batch, 1)).astype("float32")
    return lambda: model.train_on_batch(x, y)
