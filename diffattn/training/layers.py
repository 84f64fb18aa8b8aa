"""The classifier's own layers, beside the attention."""

import math
from typing import Any

import keras
import numpy as np
from keras import ops

from diffattn.attention.masks import padding_mask


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

    def call(self, inputs: Any) -> Any:
        # The gradient of a product is dense: the occurrences are summed.
        table = ops.multiply(self.embeddings, 1.0)
        return ops.cast(ops.take(table, inputs, axis=0), self.compute_dtype)


@keras.saving.register_keras_serializable(package="diffattn")
class MeanOverTokens(keras.layers.GlobalAveragePooling1D):
    """The mean over the tokens that a mask leaves, 0 where it leaves none.

        y_c = Σ_n m_n x_nc / max(1, Σ_n m_n)

    Keras's own layer divides 0 by 0 there: for an empty review. It is called with a
    tensor of shape (B, T, F) or (B, F, T), and a boolean (or integer, 0 and 1) mask of
    shape (B, T), True at the tokens that count, which Keras fills in from what the
    inputs carry. What the mask leaves out may be NaN; it has no gradient.

    Args:
        data_format: "channels_last" for (B, T, F), "channels_first" for (B, F, T);
            by default Keras's own, as a rule the first.
        keepdims: bool, whether the tokens' axis stays, with length 1.
        **kwargs: those of `keras.layers.Layer`.

    Returns:
        A tensor of shape (B, F); with ``keepdims`` (B, 1, F) or (B, F, 1).

    Raises:
        ValueError: on a mask of another shape, or one that is not boolean.
    """

    def call(self, inputs: Any, mask: Any = None) -> Any:
        if mask is None:
            return super().call(inputs)
        tokens, features = (1, 2) if self.data_format == "channels_last" else (2, 1)
        mask = padding_mask(mask, (inputs.shape[0], inputs.shape[tokens]))
        mask = ops.expand_dims(mask, features)
        how = {"axis": tokens, "keepdims": self.keepdims}
        count = ops.sum(ops.cast(mask, inputs.dtype), **how)
        return ops.sum(ops.where(mask, inputs, 0), **how) / ops.maximum(count, 1)


@keras.saving.register_keras_serializable(package="diffattn")
class LastToken(keras.layers.Layer):
    """Takes the last token's features, padding or not: y_c = x_{T-1,c}.

    It is called with a tensor of shape (B, T, F).

    Args:
        **kwargs: those of `keras.layers.Layer`.

    Returns:
        A tensor of shape (B, F), without a mask.
    """

    def __init__(self, **kwargs: Any):
        super().__init__(**kwargs)
        self.supports_masking = True

    def compute_mask(self, inputs: Any, mask: Any = None) -> Any:
        return None

    def call(self, inputs: Any) -> Any:
        return inputs[:, -1]


@keras.saving.register_keras_serializable(package="diffattn")
class TokenConvolution(keras.layers.Conv1D):
    """Keras's Conv1D over the tokens, to which padding is zeros.

    Keras's own layer drops a mask, and takes padding for tokens. Here what the mask
    leaves out counts as what lies beyond the text's end, NaN too. It is called with a
    tensor of shape (B, T, F), and a boolean (or integer, 0 and 1) mask of shape (B, T)
    which Keras fills in from what the inputs carry.

    Its arguments are those of `keras.layers.Conv1D`; ``padding`` should be "same" or
    "causal", which keep the number of tokens.

    Returns:
        A tensor of shape (B, T, filters); it carries the mask of the inputs.

    Raises:
        ValueError: on a mask of another shape, or one that is not boolean.
    """

    def __init__(self, *args: Any, **kwargs: Any):
        super().__init__(*args, **kwargs)
        self.supports_masking = True

    def call(self, inputs: Any, mask: Any = None) -> Any:
        if mask is not None:
            mask = padding_mask(mask, inputs.shape[:2])
            inputs = ops.where(ops.expand_dims(mask, 2), inputs, 0)
        return super().call(inputs)


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

    def __init__(self, **kwargs: Any):
        super().__init__(**kwargs)
        self.supports_masking = True

    def call(self, inputs: Any) -> Any:
        tokens, features = ops.shape(inputs)[1], inputs.shape[-1]
        positions = ops.cast(ops.arange(tokens, dtype="int32"), "float32")[:, None]
        even = np.arange(features) // 2 * 2
        angles = positions / ops.cast(10_000.0 ** (even / features), "float32")
        waves = ops.where(
            np.arange(features) % 2 == 0, ops.sin(angles), ops.cos(angles)
        )
        return math.sqrt(features) * inputs + ops.cast(waves, inputs.dtype)
