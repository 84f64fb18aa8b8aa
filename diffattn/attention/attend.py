"""From scores to output: mask, softmax, weighted values.

`attend` is the definition, written down. `attend_in_layer` computes the same
where nobody asks for the weights, with gradients by hand that need fewer passes
over the T × S weights, and for a per-feature type without them.
"""

import keras
from keras import ops

from diffattn.attention.backend import custom_gradient
from diffattn.attention.kernels.per_feature import masked_softmax
from diffattn.attention.scores import (
    check_shapes,
    floating,
    get_score,
    may_equal,
    score,
)


def attend(
    query,
    key,
    value,
    attention_type: str = "scaled_dot_product",
    *,
    scale: float | None = None,
    mask=None,
) -> tuple:
    """Attention with one of six scores: output and weights.

    A_ij is the softmax over j of the scores s_ij, and o_ic = Σ_j A_ij v_jc. For
    ``differential``, A_ijc is the softmax over j of s_ijc for each feature c by
    itself, and o_ic = Σ_j A_ijc v_jc. `diffattn.attention.scores.score` gives the scores.

    Args:
        query: floating-point tensor of shape (B, H, T, d).
        key: floating-point tensor of shape (B, H, S, d).
        value: floating-point tensor of shape (B, H, S, e), with e = d for
            ``differential``.
        attention_type: one of `diffattn.ATTENTION_TYPES`.
        scale: the number that multiplies the scores; by default 1/√d for
            ``scaled_dot_product`` and 1 for the others.
        mask: boolean (or integer, 0 and 1) tensor, True where query i may attend
            to key j, of shape (B, H, T, S), (B, T, S) or (T, S); each of these
            may be 1 instead. A query that may attend to nothing gets weights 0
            and output 0.

    Returns:
        (output, weights) in the value's dtype: output of shape (B, H, T, e),
        weights of shape (B, H, T, S), for ``differential`` (B, H, T, S, d).
        Scores and softmax are computed in float32, or float64 if the query is.
        Both can be differentiated twice and more; from the second time on, the
        distances take the memory of all their T·S·d terms.

    Raises:
        ValueError: on an unknown type, a scale that is not a finite number, a
            mask that is not boolean, or shapes that do not fit.
    """
    query, key, value, mask = _checked(query, key, value, attention_type, mask)
    weights = _weights(score(query, key, attention_type, scale=scale), mask, value)
    return _weigh(weights, value), weights


def attend_in_layer(
    query, key, value, attention_type, *, scale, mask, kept, return_weights
):
    """What `attend` does, with dropout, and lean where weights are not wanted.

    Its gradients are by hand and need less memory than the terms; differentiated
    again, they take the memory of `attend` with all T·S·d terms.

    Args:
        query, key, value, attention_type, scale, mask: as for `attend`.
        kept: None, or a tensor of shape (B, H, T, S) that multiplies the
            weights: 0 for a pair that dropout drops, with all its features,
            and 1 / (1 − rate) for a pair that it keeps.
        return_weights: whether the weights, before dropout, are wanted.

    Returns:
        (output, weights) as `attend`, weights None unless wanted.
    """
    if return_weights:
        output, weights = attend(
            query, key, value, attention_type, scale=scale, mask=mask
        )
        return output if kept is None else _weigh(weights, value, kept), weights
    query, key, value, mask = _checked(query, key, value, attention_type, mask)
    without_weights = get_score(attention_type).output
    if without_weights is not None:
        return without_weights(query, key, value, scale, mask, kept), None
    scores = score(query, key, attention_type, scale=scale)
    if len(scores.shape) == 5:
        return _weigh(_weights(scores, mask, value), value, kept), None
    return _softmax_and_weigh(scores, value, mask, kept), None


def _softmax_and_weigh(scores, value, mask, kept):
    """`_weigh` of `_weights`, with its gradient by hand.

    With the upstream gradient g_i, the gradient by the scores is
    A_ij (kept_ij g_i · v_j − g_i · o_i): by Σ_j A_ij kept_ij v_j = o_i, the sum
    over the keys that a softmax's gradient has is one over features.
    """

    @custom_gradient
    def output(scores, value):
        weights = _weights(scores, mask, value)
        output = _weigh(weights, value, kept)

        def gradient(g):
            g_o = ops.sum(g * output, axis=-1, keepdims=True)
            if kept is None:
                # g_i · v_j − g_i · o_i as one matrix product.
                g_v = _products(
                    ops.concatenate([g, -g_o], axis=-1),
                    ops.concatenate([value, ops.ones_like(value[..., :1])], axis=-1),
                )
                kept_weights = weights
            else:
                g_v = ops.cast(kept, g.dtype) * _products(g, value) - g_o
                kept_weights = weights * ops.cast(kept, weights.dtype)
            return (
                ops.cast(weights * g_v, scores.dtype),
                ops.einsum("bhts,bhte->bhse", kept_weights, g),
            )

        return output, gradient

    return output(scores, value)


def _products(g, value):
    return ops.einsum("bhte,bhse->bhts", g, value)


def _weights(scores, mask, value):
    """Of scores (B, H, T, S) or (B, H, T, S, d), in the value's dtype."""
    if mask is not None and len(scores.shape) == 5:
        mask = ops.expand_dims(mask, -1)
    return ops.cast(masked_softmax(scores, mask, axis=3), value.dtype)


def _weigh(weights, value, kept=None):
    """Σ_j A_ij v_jc, or Σ_j A_ijc v_jc where each feature has its own weights."""
    per_feature = len(weights.shape) == 5
    if kept is not None:
        kept = ops.cast(kept, weights.dtype)
        weights = weights * (ops.expand_dims(kept, -1) if per_feature else kept)
    if per_feature:
        return ops.einsum("bhtsd,bhsd->bhtd", weights, value)
    return ops.matmul(weights, value)


def _checked(query, key, value, attention_type, mask):
    """The arguments as tensors, the mask with four axes, or a clear error."""
    query, key = ops.convert_to_tensor(query), ops.convert_to_tensor(key)
    check_shapes(query, key)
    value = floating("value", value)
    per_feature = get_score(attention_type).per_feature
    fits = len(value.shape) == 4 and may_equal(value.shape[:3], key.shape[:3])
    if fits and per_feature:
        fits = may_equal(value.shape[3:], query.shape[3:])
    if not fits:
        wanted = "(B, H, S, d)" if per_feature else "(B, H, S, e)"
        raise ValueError(
            f"value must have shape {wanted} for attention_type={attention_type!r} "
            f"and the key's B, H and S. Received: value of shape "
            f"{tuple(value.shape)}, key of shape {tuple(key.shape)}"
        )
    if mask is not None:
        mask = pair_mask(mask, (*query.shape[:3], key.shape[2]))
    return query, key, value, mask


def pair_mask(mask, pairs, name="mask"):
    """A mask as a boolean tensor of four axes that broadcasts to (B, H, T, S).

    Args:
        mask: boolean (or integer, 0 and 1) tensor of shape (B, H, T, S),
            (B, T, S) or (T, S), or with 1 for any of these.
        pairs: the shape (B, H, T, S), None where unknown.
        name: the argument's name, for the error.

    Raises:
        ValueError: on a floating-point mask or one that does not broadcast.
    """
    mask = ops.convert_to_tensor(mask)
    dtype = keras.backend.standardize_dtype(mask.dtype)
    shape = tuple(mask.shape)
    if dtype != "bool" and not keras.backend.is_int_dtype(dtype):
        raise ValueError(
            f"{name} must be boolean, True where a pair may attend. "
            f"Received: {name} of dtype {dtype}"
        )
    mask = ops.cast(mask, "bool")
    if len(shape) == 3:
        mask = ops.expand_dims(mask, 1)
    elif len(shape) == 2:
        mask = ops.expand_dims(mask, (0, 1))
    broadcasts = len(mask.shape) == 4 and all(
        m == 1 or may_equal([m], [n]) for m, n in zip(mask.shape, pairs, strict=True)
    )
    if not broadcasts:
        raise ValueError(
            f"{name} must have shape (B, H, T, S), (B, T, S) or (T, S), or broadcast "
            f"to it. Received: {name} of shape {shape}, (B, H, T, S) = {tuple(pairs)}"
        )
    return mask
