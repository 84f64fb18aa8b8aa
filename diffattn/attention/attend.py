"""From scores to output: mask, softmax, weighted values.

`attend` is the definition, written down. `attend_lean` computes the same where nobody
asks for the weights, with gradients by hand that need fewer passes over the T × S
weights, and without them where the score has a way of its own.
"""

from typing import Any

from keras import ops

from diffattn.attention.backend import without_autocast
from diffattn.attention.kernels.softmax import (
    attention_weights,
    softmax_and_weigh,
    weigh,
)
from diffattn.attention.masks import pair_mask, plus_bias
from diffattn.attention.places import Places
from diffattn.attention.scores import (
    Score,
    get_score,
    own_parameters,
    own_places,
    score,
)
from diffattn.attention.shapes import check_shapes, floating, may_equal
from diffattn.checks import check_scale


@without_autocast
def attend(
    query: Any,
    key: Any,
    value: Any,
    attention_type: str | Score = "scaled_dot_product",
    *,
    scale: float | None = None,
    mask: Any = None,
    bias: Any = None,
    parameters: dict | None = None,
    places: Places | None = None,
) -> tuple[Any, Any]:
    """Attend with any of the scores: compute output and weights.

    A_ij is the softmax over j of the scores s_ij, and o_ic = Σ_j A_ij v_jc. For
    ``differential``, A_ijc is the softmax over j of s_ijc for each feature c by
    itself, and o_ic = Σ_j A_ijc v_jc. `diffattn.scores.score` gives the scores.

    Args:
        query: floating-point tensor of shape (B, H, T, d).
        key: floating-point tensor of shape (B, H, S, d).
        value: floating-point tensor of shape (B, H, S, e), with e = d for
            ``differential``. Numbers must be finite where a mask forbids them, too.
        attention_type: one of `diffattn.ATTENTION_TYPES`, another registered name,
            or a `diffattn.scores.Score`.
        scale: the number that multiplies the scores; by default 1/√d for
            ``scaled_dot_product`` and 1 for the others.
        mask: boolean (or integer, 0 and 1) tensor, True where query i may attend
            to key j, of shape (B, H, T, S), (B, T, S) or (T, S); each of these
            may be 1 instead. A query that may attend to nothing gets weights 0
            and output 0.
        bias: None, or a floating-point tensor of one of the mask's shapes that is
            added to the scores, for ``differential`` to those of every feature.
        parameters: dict of the values of the score's own parameters, if it has any;
            one that is left out is as it starts.
        places: as for `diffattn.scores.score`. That segments do not attend to one
            another is up to the mask.

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
    options = {"scale": scale, "parameters": parameters, "places": places}
    scores = plus_bias(score(query, key, attention_type, **options), bias)
    weights = attention_weights(scores, mask, value.dtype)
    return weigh(weights, value), weights


@without_autocast
def attend_lean(
    query: Any,
    key: Any,
    value: Any,
    attention_type: str | Score,
    *,
    scale: float | None,
    mask: Any,
    dropout_mask: Any,
    bias: Any = None,
    parameters: dict | None = None,
    places: Places | None = None,
) -> Any:
    """Compute the output of `attend`, with dropout, and lean in memory.

    Its gradients are by hand and need less memory than the terms; differentiated
    again, they take the memory of `attend` with all T·S·d terms.

    Args:
        query, key, value, attention_type, scale, mask, bias, parameters, places: as
            for `attend`. With a bias, the output goes through the weights.
        dropout_mask: None, or a tensor of shape (B, H, T, S) that multiplies the
            weights: 0 for a pair that dropout drops, with all its features,
            and 1 / (1 − rate) for a pair that it keeps.

    Returns:
        The output, of shape (B, H, T, e).
    """
    query, key, value, mask = _checked(query, key, value, attention_type, mask)
    check_scale(scale)
    kind = get_score(attention_type)
    if bias is None:
        output = kind.attend(
            query,
            key,
            value,
            scale=kind.default_scale(query.shape[-1])
            if scale is None
            else float(scale),
            mask=mask,
            dropout_mask=dropout_mask,
            **own_parameters(kind, parameters, query),
            **own_places(kind, places),
        )
        if output is not None:
            return output
    options = {"scale": scale, "parameters": parameters, "places": places}
    scores = plus_bias(score(query, key, kind, **options), bias)
    if kind.per_feature:
        weights = attention_weights(scores, mask, value.dtype)
        return weigh(weights, value, dropout_mask)
    return softmax_and_weigh(scores, value, mask, dropout_mask)


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
