"""Mask and softmax in one place, and the weighted values with a gradient by hand."""

from typing import Any

from keras import ops

from diffattn.attention.backend import custom_gradient

#: Below any score that float32 can hold, and finite.
LOWEST = -3e38


def masked_softmax(scores: Any, mask: Any, axis: int) -> Any:
    """Compute the softmax along the keys' axis, exactly 0 wherever the mask forbids.

    Args:
        scores: floating-point tensor.
        mask: None, or a boolean tensor that broadcasts to the scores.
        axis: the keys' axis.

    Returns:
        A tensor of the scores' shape, 0 in a row with nothing permitted.
    """
    if mask is not None:
        # A finite floor, so that a row with nothing permitted has no NaN in it;
        # the second `where` then makes that row 0, and its gradient too.
        scores = ops.where(mask, scores, LOWEST)
    # Keras warns of a softmax over one entry; for one token it is meant.
    one_key = scores.shape[axis] == 1
    weights = ops.ones_like(scores) if one_key else ops.softmax(scores, axis=axis)
    return weights if mask is None else ops.where(mask, weights, 0)


def attention_weights(scores: Any, mask: Any, dtype: str) -> Any:
    """Compute the weights A of scores (B, H, T, S) or (B, H, T, S, d).

    Args:
        scores: the scores.
        mask: None, or a boolean tensor that broadcasts to (B, H, T, S).
        dtype: of the weights.

    Returns:
        A tensor of the scores' shape.
    """
    if mask is not None and len(scores.shape) == 5:
        mask = ops.expand_dims(mask, -1)
    return ops.cast(masked_softmax(scores, mask, axis=3), dtype)


def weigh(weights: Any, value: Any, dropout_mask: Any = None) -> Any:
    """Compute Σ_j A_ij v_jc, or Σ_j A_ijc v_jc where each feature has its own weights.

    Args:
        weights: tensor of shape (B, H, T, S) or (B, H, T, S, d).
        value: tensor of shape (B, H, S, e).
        dropout_mask: None, or a tensor of shape (B, H, T, S) that multiplies the
            weights.

    Returns:
        A tensor of shape (B, H, T, e).
    """
    per_feature = len(weights.shape) == 5
    if dropout_mask is not None:
        factor = ops.cast(dropout_mask, weights.dtype)
        weights = weights * (ops.expand_dims(factor, -1) if per_feature else factor)
    if per_feature:
        return ops.einsum("bhtsd,bhsd->bhtd", weights, value)
    # Not `ops.matmul`, which makes float32 of float64 in PyTorch (Keras 3.15.1).
    return weights @ value


def softmax_and_weigh(scores: Any, value: Any, mask: Any, dropout_mask: Any) -> Any:
    """Compute `weigh` of `attention_weights`, with its gradient by hand.

    With the upstream gradient g_i and the dropout mask m_ij, the gradient by the scores
    is A_ij (m_ij g_i · v_j − g_i · o_i): by Σ_j A_ij m_ij v_j = o_i, the sum over the
    keys that a softmax's gradient has is one over features.

    Args:
        scores: tensor of shape (B, H, T, S).
        value, mask, dropout_mask: as for `weigh` and `attention_weights`.

    Returns:
        A tensor of shape (B, H, T, e).
    """

    return _softmax_and_weigh(scores, value, mask=mask, dropout_mask=dropout_mask)


def _plain_softmax_and_weigh(scores, value, mask, dropout_mask):
    return weigh(attention_weights(scores, mask, value.dtype), value, dropout_mask)


@custom_gradient(_plain_softmax_and_weigh)
def _softmax_and_weigh(scores, value, mask, dropout_mask):
    weights = attention_weights(scores, mask, value.dtype)
    output = weigh(weights, value, dropout_mask)
    dtype = scores.dtype

    def gradient(g):
        by_scores, by_value = gradients_through_weights(
            weights, output, value, g, dropout_mask
        )
        return ops.cast(by_scores, dtype), by_value

    return output, gradient


def gradients_through_weights(
    weights: Any, output: Any, value: Any, g: Any, dropout_mask: Any = None
) -> tuple[Any, Any]:
    """Compute the gradients of `softmax_and_weigh` by scores and value.

    Args:
        weights: A_ij, of shape (B, H, T, S).
        output: o_i, of shape (B, H, T, e).
        value, dropout_mask: as for `weigh`.
        g: the upstream gradient, of the output's shape.

    Returns:
        Tensors of shapes (B, H, T, S) and (B, H, S, e).
    """
    g_o = ops.sum(g * output, axis=-1, keepdims=True)
    if dropout_mask is None:
        # g_i · v_j − g_i · o_i as one matrix product.
        g_v = _products(
            ops.concatenate([g, -g_o], axis=-1),
            ops.concatenate([value, ops.ones_like(value[..., :1])], axis=-1),
        )
        dropped = weights
    else:
        g_v = ops.cast(dropout_mask, g.dtype) * _products(g, value) - g_o
        dropped = weights * ops.cast(dropout_mask, weights.dtype)
    return weights * g_v, ops.einsum("bhts,bhte->bhse", dropped, g)


def _products(g, value):
    return ops.einsum("bhte,bhse->bhts", g, value)
