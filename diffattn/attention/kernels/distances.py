"""How near every query is to every key, without the differences' tensor.

Σ_c f(q_ic − k_jc) has T·S·d terms and T·S sums. Written down as one broadcast
difference it needs memory for all terms; here they pass by in registers, forward
and backward, the backward pass summing

    ∂L/∂q_ic = Σ_j G_ij f'(q_ic − k_jc),   ∂L/∂k_jc = −Σ_i G_ij f'(q_ic − k_jc)

over the upstream gradient G in the same way.
"""

from collections.abc import Callable
from functools import cache, partial
from typing import Any

from keras import ops

from diffattn.attention.backend import (
    compiled,
    custom_gradient,
    differentiated_as,
    divide_no_nan,
)
from diffattn.attention.kernels.blocks import (
    ScoresWithGradient,
    attend_in_blocks,
    fits_blocks,
)
from diffattn.attention.kernels.sizes import few_terms

#: Terms of a sum that are written out one after the other in a loop's body.
UNROLLED = 32

#: Squared distances from a matrix product lose digits by cancellation where they
#: are small against the squared lengths; below this share, they are not used.
NEAR = 0.1


def minus_l1(query: Any, key: Any) -> Any:
    """Compute −Σ_c |q_ic − k_jc|, with derivative 0 where q_ic = k_jc.

    Args:
        query: tensor of shape (B, H, T, d), float32 or float64.
        key: tensor of shape (B, H, S, d) and the same dtype.

    Returns:
        A tensor of shape (B, H, T, S).
    """
    if few_terms(query, key):
        return _plain_l1(query, key)
    return _minus_l1(query, key)


def _plain_l1(query, key):
    return _plain_sum(_minus_abs, query, key)


def l1_with_gradient(query: Any, key: Any) -> tuple[Any, Callable]:
    """Compute `minus_l1` for many terms, and its gradient: a `ScoresWithGradient`."""

    def gradient(g):
        return _compiled(_gradients_of_sum, _minus_sign)(query, key, g)

    return _compiled(_sum_over_features, _minus_abs)(query, key), gradient


_minus_l1 = custom_gradient(_plain_l1)(l1_with_gradient)


def attend_by_distance(
    minus_distance: ScoresWithGradient,
    query: Any,
    key: Any,
    value: Any,
    scale: float,
    mask: Any,
    dropout_mask: Any,
) -> Any:
    """Compute Σ_j A_ij v_j, A the softmax of scaled distances, if that is lean.

    Args:
        minus_distance: `l1_with_gradient` or `l2_with_gradient`.
        query, key: as for `minus_l1`.
        value: tensor of shape (B, H, S, e).
        scale: a number.
        mask: None, or a boolean tensor that broadcasts to (B, H, T, S).
        dropout_mask: None, or what multiplies the weights.

    Returns:
        A tensor of shape (B, H, T, e); None where the weights are kept.
    """
    if not fits_blocks(query, key, dropout_mask):
        return None
    return attend_in_blocks(_scaled(minus_distance, scale), query, key, value, mask)


def _scaled(scores_of, scale):
    """A function's scores, and their gradient, times the scale."""

    def scaled(query, key):
        scores, gradient = scores_of(query, key)
        return scale * scores, lambda g: gradient(scale * g)

    return scaled


def minus_l2(query: Any, key: Any) -> Any:
    """Compute −‖q_i − k_j‖₂, with derivative 0 where q_i = k_j.

    ‖q − k‖² = ‖q‖² + ‖k‖² − 2 q · k costs one matrix product. Where that would
    lose digits, because some q_i and k_j are near to each other, the differences
    are taken first. The keys' mean is subtracted from both before the product,
    which leaves the distances as they are and makes such cases rare. (Masked padding
    is one: the layer sets its queries and keys to 0, at distance 0 from each other.)

    Args:
        query: tensor of shape (B, H, T, d), float32 or float64.
        key: tensor of shape (B, H, S, d) and the same dtype.

    Returns:
        A tensor of shape (B, H, T, S).
    """
    if few_terms(query, key):
        return _plain_l2(query, key)
    return _minus_l2(query, key)


def _plain_l2(query, key):
    return -_root(_plain_sum(ops.square, query, key))


def _root(x):
    """√x, with derivative 0 where x = 0."""
    zero = x == 0
    return ops.where(zero, 0, ops.sqrt(ops.where(zero, 1, x)))


def _plain_gradients_of_l2(query, key, g):
    # The derivative of −‖q − k‖ by q is (q − k) / −‖q − k‖.
    g = divide_no_nan(g, _plain_l2(query, key))
    return _plain_gradients(_itself, query, key, g)


def l2_with_gradient(query: Any, key: Any) -> tuple[Any, Callable]:
    """Compute `minus_l2` for many terms, and its gradient: a `ScoresWithGradient`."""
    # The mean, but 0 where there are no keys.
    count = ops.cast(ops.maximum(ops.shape(key)[2], 1), key.dtype)
    middle = ops.sum(key, axis=2, keepdims=True) / count
    q, k = query - middle, key - middle
    by_product, near = _squared_by_product(q, k)

    def by_distance(query, key):
        squared = ops.cond(
            near,
            lambda: _compiled(_sum_over_features, ops.square)(query, key),
            lambda: by_product,
        )
        return -ops.sqrt(squared)

    scores = differentiated_as(_plain_l2, by_distance)(query, key)

    def by_hand(query, key, g):
        g = divide_no_nan(g, scores)
        return ops.cond(
            near,
            lambda: _compiled(_gradients_of_sum, _itself)(query, key, g),
            lambda: (
                _pull(q, k, g, "bhts,bhsd->bhtd"),
                _pull(k, q, g, "bhts,bhtd->bhsd"),
            ),
        )

    def gradient(g):
        gradients = differentiated_as(_plain_gradients_of_l2, by_hand)
        return gradients(query, key, g)

    return scores, gradient


_minus_l2 = custom_gradient(_plain_l2)(l2_with_gradient)


def _squared_by_product(query, key):
    """‖q_i − k_j‖² by one matrix product, and whether any lost its digits."""
    q2 = ops.sum(ops.square(query), axis=-1, keepdims=True)
    k2 = ops.sum(ops.square(key), axis=-1, keepdims=True)
    squared = ops.einsum(
        "bhtd,bhsd->bhts",
        ops.concatenate([-2 * query, q2, ops.ones_like(q2)], axis=-1),
        ops.concatenate([key, ops.ones_like(k2), k2], axis=-1),
    )
    least = NEAR * (q2[..., 0] + ops.max(k2, axis=2))
    return squared, ops.any(ops.min(squared, axis=-1) < least)


def _pull(x, others, g, over):
    """Σ_j g_ij (x_i − y_j) by one matrix product."""
    ones = ops.ones_like(others[..., :1])
    pulled = ops.einsum(over, g, ops.concatenate([others, ones], axis=-1))
    return x * pulled[..., -1:] - pulled[..., :-1]


def _differences(query, key):
    return ops.expand_dims(query, 3) - ops.expand_dims(key, 2)


def _plain_sum(term, query, key):
    """What `_sum_over_features` computes, through all terms at once."""
    return ops.sum(term(_differences(query, key)), axis=-1)


def _plain_gradients(derivative, query, key, g):
    """What `_gradients_of_sum` computes, through all terms at once."""
    terms = g[..., None] * derivative(_differences(query, key))
    return ops.sum(terms, axis=3), -ops.sum(terms, axis=2)


@cache
def _compiled(function, term):
    """`_sum_over_features` or `_gradients_of_sum`, compiled for the term."""
    plain = {
        _sum_over_features: _plain_sum,
        _gradients_of_sum: _plain_gradients,
    }[function]
    return compiled(partial(function, term), partial(plain, term))


def _minus_abs(x):
    return -ops.abs(x)


def _minus_sign(x):
    return -ops.sign(x)


def _itself(x):
    return x


def _sum_over_features(term, query, key):
    """Σ_c term(q_ic − k_jc), of shape (B, H, T, S)."""
    chunks, chunk = _chunks(query.shape[3])
    # Features first, so that the keys, over which the loop runs, lie side by side.
    q, k = (
        _padded(ops.transpose(x, (3, 0, 1, 2)), 0, chunks * chunk) for x in (query, key)
    )

    def add(n, total):
        q_n, k_n = _chunk(q, 0, n, chunk), _chunk(k, 0, n, chunk)
        for c in range(chunk):
            differences = ops.expand_dims(q_n[c], -1) - ops.expand_dims(k_n[c], -2)
            total = total + term(differences)
        return total

    pairs = (*ops.shape(query)[:3], ops.shape(key)[2])
    return _loop(chunks, add, ops.zeros(pairs, query.dtype))


def _gradients_of_sum(derivative, query, key, g):
    """Σ_j G_ij f'(q_ic − k_jc) and Σ_i G_ij f'(k_jc − q_ic), f' being odd."""
    return (
        _gradient_of_sum(derivative, query, key, g, axis=3),
        _gradient_of_sum(derivative, key, query, g, axis=2),
    )


def _gradient_of_sum(derivative, x, y, g, axis):
    """Σ_j G_ij f'(x_ic − y_jc), of x's shape, j being g's given axis."""
    chunks, chunk = _chunks(ops.shape(y)[2])
    y, g = _padded(y, 2, chunks * chunk), _padded(g, axis, chunks * chunk)

    def add(n, total):
        y_n, g_n = _chunk(y, 2, n, chunk), _chunk(g, axis, n, chunk)
        for j in range(chunk):
            g_j = g_n[..., j] if axis == 3 else g_n[:, :, j]
            total = total + g_j[..., None] * derivative(x - y_n[:, :, j, None])
        return total

    return _loop(chunks, add, ops.zeros_like(x))


def _chunks(length):
    """How many chunks, and how long, make up the length, or a little more."""
    if not isinstance(length, int):  # TensorFlow knows it later, and it may be 0
        return ops.maximum(-(-length // UNROLLED), 1), UNROLLED
    for chunk in range(UNROLLED, UNROLLED // 2, -1):
        if length % chunk == 0:
            return length // chunk, chunk
    chunks = -(-length // UNROLLED)
    return chunks, -(-length // chunks)


def _padded(x, axis, length):
    """`x` with zeros up to the length: their terms are 0."""
    missing = length - ops.shape(x)[axis]
    if isinstance(missing, int) and missing == 0:
        return x
    return ops.pad(x, [[0, missing if a == axis else 0] for a in range(len(x.shape))])


def _chunk(x, axis, n, chunk):
    start = [n * chunk if a == axis else 0 for a in range(len(x.shape))]
    shape = [chunk if a == axis else size for a, size in enumerate(ops.shape(x))]
    return ops.slice(x, start, shape)


def _loop(steps, body, start):
    if isinstance(steps, int) and steps == 1:
        return body(0, start)
    return ops.fori_loop(0, steps, body, start)
