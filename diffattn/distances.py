"""Distances of every query to every key without the differences' tensor.

Σ_c f(q_ic − k_jc) has T·S·d terms and T·S sums. Written down as one broadcast
difference it needs memory for all terms; here they pass by in registers, forward
and backward, the backward pass summing

    ∂L/∂q_ic = Σ_j G_ij f'(q_ic − k_jc),   ∂L/∂k_jc = −Σ_i G_ij f'(q_ic − k_jc)

over the upstream gradient G in the same way.
"""

from functools import cache
from math import prod

from keras import ops

from diffattn.backend import compiled

#: Terms of a sum that are written out one after the other in a loop's body.
UNROLLED = 32

#: So many numbers of a batch entry are few enough to be written down at once.
FEW = 2**16

#: Squared distances from a matrix product lose digits by cancellation where they
#: are small against the squared lengths; below this share, they are not used.
NEAR = 0.1


def l1_distances(query, key):
    """Σ_c |q_ic − k_jc|, with derivative 0 where q_ic = k_jc.

    Args:
        query: tensor of shape (B, H, T, d), float32 or float64.
        key: tensor of shape (B, H, S, d) and the same dtype.

    Returns:
        A tensor of shape (B, H, T, S).
    """
    if few_terms(query, key):
        return ops.sum(ops.abs(_differences(query, key)), axis=-1)

    @ops.custom_gradient
    def distances(query, key):
        def gradient(*args, upstream=None):
            g = args[0] if upstream is None else upstream
            return _compiled(_gradients_of_sum, ops.sign)(query, key, g)

        return _compiled(_sum_over_features, ops.abs)(query, key), gradient

    return distances(query, key)


def l2_distances(query, key):
    """‖q_i − k_j‖₂, with derivative 0 where q_i = k_j.

    ‖q − k‖² = ‖q‖² + ‖k‖² − 2 q · k costs one matrix product. Where that would
    lose digits, because some q_i and k_j are near to each other, the differences
    are taken first. Before, the keys' mean is subtracted from both, which leaves
    the distances as they are and makes such cases rare.

    Args:
        query: tensor of shape (B, H, T, d), float32 or float64.
        key: tensor of shape (B, H, S, d) and the same dtype.

    Returns:
        A tensor of shape (B, H, T, S).
    """
    if few_terms(query, key):
        squared = ops.sum(ops.square(_differences(query, key)), axis=-1)
        positive = squared > 0
        return ops.where(positive, ops.sqrt(ops.where(positive, squared, 1)), 0)
    middle = ops.stop_gradient(ops.mean(key, axis=2, keepdims=True))
    return _l2_distances(query - middle, key - middle)


@ops.custom_gradient
def _l2_distances(query, key):
    by_product, near = _squared_by_product(query, key)
    squared = ops.cond(
        near,
        lambda: _compiled(_sum_over_features, ops.square)(query, key),
        lambda: by_product,
    )
    distances = ops.sqrt(squared)

    def gradient(*args, upstream=None):
        g = args[0] if upstream is None else upstream
        g = ops.divide_no_nan(g, distances)
        return ops.cond(
            near,
            lambda: _compiled(_gradients_of_sum, _itself)(query, key, g),
            lambda: (
                _pull(query, key, g, "bhts,bhsd->bhtd"),
                _pull(key, query, g, "bhts,bhtd->bhsd"),
            ),
        )

    return distances, gradient


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


def few_terms(query, key):
    """Whether all T·S·d differences or products of a batch entry are few enough."""
    sizes = (*query.shape[1:], key.shape[2])
    return None not in sizes and prod(sizes) <= FEW


def _differences(query, key):
    return ops.expand_dims(query, 3) - ops.expand_dims(key, 2)


@cache
def _compiled(function, term):
    return compiled(lambda *tensors: function(term, *tensors))


def _itself(x):
    return x


def _sum_over_features(term, query, key):
    """Σ_c term(q_ic − k_jc), of shape (B, H, T, S)."""
    q = _in_chunks(ops.transpose(query, (3, 0, 1, 2)))
    k = _in_chunks(ops.transpose(key, (3, 0, 1, 2)))

    def add(n, total):
        q_n, k_n = q[n], k[n]
        for c in range(q.shape[1]):
            total = total + term(q_n[c][..., None] - k_n[c][..., None, :])
        return total

    pairs = (*ops.shape(query)[:3], ops.shape(key)[2])
    return _loop(q.shape[0], add, ops.zeros(pairs, query.dtype))


def _gradients_of_sum(derivative, query, key, g):
    """Σ_j G_ij f'(q_ic − k_jc) and Σ_i G_ij f'(k_jc − q_ic), f' being odd."""
    return (
        _gradient_of_sum(derivative, query, key, g),
        _gradient_of_sum(derivative, key, query, ops.swapaxes(g, 2, 3)),
    )


def _gradient_of_sum(derivative, x, y, g):
    """Σ_j G_ij f'(x_ic − y_jc), of shape (B, H, T, d)."""
    y = _in_chunks(ops.transpose(y, (2, 0, 1, 3)))
    g = _in_chunks(ops.transpose(g, (3, 0, 1, 2)))

    def add(n, total):
        y_n, g_n = y[n], g[n]
        for j in range(y.shape[1]):
            total = total + g_n[j][..., None] * derivative(x - y_n[j][:, :, None])
        return total

    return _loop(y.shape[0], add, ops.zeros_like(x))


def _in_chunks(x):
    """(L, ...) to (L / J, J, ...), filled up with zeros, whose terms are 0."""
    length = x.shape[0]
    chunks = -(-length // UNROLLED)
    chunk = -(-length // chunks)
    x = ops.pad(x, [[0, chunks * chunk - length]] + [[0, 0]] * (len(x.shape) - 1))
    return ops.reshape(x, (chunks, chunk, *ops.shape(x)[1:]))


def _loop(steps, body, start):
    if steps == 1:
        return body(0, start)
    return ops.fori_loop(0, steps, body, start)
