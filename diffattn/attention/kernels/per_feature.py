"""The output of `differential` without its (B, H, T, S, d) weights.

A single feature has the scores s_ij = x_i · y_j of two vectors of size 2,
x_i = scale · (q_i, λ q_{i−ℓ}) and y_j = (k_j, k_{j−ℓ}), λ = −1 and ℓ = 1 as
documented. With the weights
A_ij, the softmax over j, and the output o_i = Σ_j A_ij v_j, the derivative of the
output by x_i is the covariance of value and key under these weights,

    ∂o_i/∂x_i = Σ_j A_ij v_j y_j − o_i Σ_j A_ij y_j,

and an upstream gradient g_i gives

    ∂L/∂v_j = Σ_i A_ij g_i,
    ∂L/∂y_j = v_j Σ_i A_ij g_i x_i − Σ_i A_ij g_i o_i x_i.

So output and gradient need nothing of the T × S weights but a few sums: over the
keys on the way forward, over the queries on the way back. Where all weights are few,
they are taken at once, else for a block of features at a time, in one of two ways:

- Whatever the scores are, the block's weights are computed, used and forgotten. The
  way back knows the logarithm of each sum Σ_j exp(s_ij) and takes them as
  exp(s_ij − log Σ_j exp(s_ij)), without another pass for their largest and their sum.
- Where a block's scores differ little from one another, the sums come from a series
  (`series`).

A graph that is exported goes through the keys one after the other instead: other
programs know neither XLA nor, all of them, a list of blocks or a choice of four.
"""

import math
from functools import cache, partial
from typing import Any

import numpy as np
from keras import ops

from diffattn.attention.backend import (
    compiled,
    custom_gradient,
    differentiated_as,
    exporting,
    in_a_graph,
    map_in_turn,
)
from diffattn.attention.kernels import series
from diffattn.attention.kernels.shift import previous_by_head
from diffattn.attention.kernels.sizes import few_terms
from diffattn.attention.kernels.softmax import LOWEST
from diffattn.attention.shapes import dtype_of_scores

#: Scores that a block may hold: many enough to keep the cores busy, and few enough for
#: their memory, 8 MB, to be used again. Memory of 32 MB and more comes fresh from the
#: system each time, and to fill it with zeros takes as long as to compute the weights.
BLOCK = 2**21


def attend_per_feature(
    query: Any,
    key: Any,
    value: Any,
    scale: float,
    mask: Any,
    dropout_mask: Any,
    coefficient: Any = -1.0,
    lag: int | tuple[int, ...] = 1,
) -> Any:
    """Compute Σ_j A_ijc v_jc, A_ijc the softmax over j of `differential`'s scores.

    Args:
        query, key, value: floating-point tensors of shapes (B, H, T, d),
            (B, H, S, d) and (B, H, S, d).
        scale: the number that multiplies the scores.
        mask: None, or a boolean tensor that broadcasts to (B, H, T, S).
        dropout_mask: None, or a tensor of shape (B, H, T, S) that multiplies the
            weights.
        coefficient: λ, a number or a tensor that broadcasts to the query.
        lag: ℓ, as for `previous_by_head`.

    Returns:
        A tensor of shape (B, H, T, d) in the value's dtype, computed in float32,
        or float64 if the query is.
    """
    given = value.dtype
    dtype = dtype_of_scores(query)
    query, key, value, dropout_mask = (
        None if z is None else ops.cast(z, dtype)
        for z in (query, key, value, dropout_mask)
    )
    query = scale * query
    x, y = _with_previous(query, coefficient, lag), _with_previous(key, 1, lag)
    v = ops.transpose(value, (0, 1, 3, 2))
    if exporting() and dropout_mask is None:
        output = _key_after_key(x, y, v, mask)
    else:
        lean = custom_gradient(_plain_output)(partial(_output, few_terms(query, key)))
        output = lean(x, y, v, mask=mask, dropout_mask=dropout_mask)
    return ops.cast(ops.transpose(output, (0, 1, 3, 2)), given)


def _plain_output(x, y, v, mask, dropout_mask):
    return _at_once(_forward, x, y, v, mask, dropout_mask)[..., 0, :]


def _output(few, x, y, v, mask, dropout_mask):
    """The output (B, H, d, T) for x (B, H, d, 2, T), y (B, H, d, 2, S), v (B, H, d, S).

    In `forward` are o_i, ∂o_i/∂x_i and log Σ_j exp(s_ij) as (B, H, d, 4, T), in
    `backward` ∂L/∂v_j and ∂L/∂y_j as (B, H, d, 3, S).
    """

    def sums(direction, *tensors):
        run = partial(_at_once, direction)
        if not few:
            run = differentiated_as(run, _blocks_in_a_graph(direction, BLOCK))
        return run(*tensors, mask, dropout_mask)

    forward = sums(_forward, x, y, v)
    o, covariance, log_total = (
        forward[..., 0, :],
        forward[..., 1:3, :],
        forward[..., 3, :],
    )

    def gradient(g):
        backward = sums(_backward, x, y, v, o, g, log_total)
        return g[..., None, :] * covariance, backward[..., 1:, :], backward[..., 0, :]

    return o, gradient


def _key_after_key(x, y, v, mask):
    """The output as `_output` has it, with no more than one weight a query at a time.

    With the largest score m of the keys so far, Σ_j exp(s_j − m) v_j and
    Σ_j exp(s_j − m) are carried on, and rescaled when m grows.
    """

    def add(j, carried):
        largest, total, weighted = carried
        y_j, v_j = (ops.expand_dims(ops.take(z, j, axis=-1), -1) for z in (y, v))
        scores = ops.sum(x * y_j, axis=3)
        if mask is not None:
            last = ops.minimum(j, ops.shape(mask)[3] - 1)
            allowed = ops.expand_dims(ops.take(mask, last, axis=3), 2)
            scores = ops.where(allowed, scores, LOWEST)
        new = ops.maximum(largest, scores)
        rescale, weight = ops.exp(largest - new), ops.exp(scores - new)
        if mask is not None:
            weight = ops.where(allowed, weight, 0)
        return new, total * rescale + weight, weighted * rescale + weight * v_j

    # The shape of the scores with one key, also where TensorFlow does not know it.
    zero = ops.zeros_like(x[:, :, :, 0])
    start = zero + LOWEST, zero, zero
    _, total, weighted = ops.fori_loop(0, ops.shape(y)[4], add, start)
    return weighted / ops.where(total > 0, total, 1)


def _at_once(direction, *tensors):
    """`_forward` or `_backward` through the weights of all features."""
    *tensors, mask, dropout_mask = tensors
    features = ops.shape(tensors[0])[:3]

    def pairs(z):
        """(B, H, T, S) to (B·H·d, T, S); an axis of length 1 may stand for T or S."""
        if z is None:
            return None
        rest = ops.shape(z)[2:]
        return _joined(ops.broadcast_to(z[:, :, None], (*features, *rest)))

    result = _through_weights(
        direction, pairs(mask), pairs(dropout_mask), *map(_joined, tensors)
    )
    return ops.reshape(result, (*features, *ops.shape(result)[1:]))


def _joined(x):
    """(B, H, d, …) to (B·H·d, …)."""
    shape = ops.shape(x)
    return ops.reshape(x, (math.prod(shape[:3]), *shape[3:]))


@cache
def _blocks_in_a_graph(direction, most):
    return in_a_graph(partial(_in_blocks, direction, most))


def _in_blocks(direction, most, *tensors):
    """`_forward` or `_backward`, a block of features at a time, of `most` scores."""
    *tensors, mask, dropout_mask = tensors
    x, y, *_ = tensors
    (batch, heads, dim, _, queries), keys = ops.shape(x), ops.shape(y)[4]
    # What differs between heads must not meet in a block.
    groups = (
        heads
        if any(z is not None and z.shape[1] != 1 for z in (mask, dropout_mask))
        else 1
    )
    in_a_group = heads * dim // groups
    features = _features_in_a_block(in_a_group, queries, keys, most)
    blocks_in_a_group = in_a_group // features
    number = batch * groups * blocks_in_a_group
    degrees = series.degrees_for(mask, dropout_mask, y.shape[4])
    shape = (4, queries) if direction is _forward else (3, keys)

    def pairs(n):
        """Mask and dropout of block n, each of shape (1, T or 1, S) or None."""
        group = n // blocks_in_a_group
        return [
            _of_head(z, group // groups, group % groups) for z in (mask, dropout_mask)
        ]

    def in_blocks(z):
        return ops.reshape(z, (number, features, *ops.shape(z)[3:]))

    numbers = ways = ops.arange(number, dtype="int32")
    if degrees:
        ways = _ways(in_blocks(_compiled_exponents()(x, y, mask)), degrees)
    blocks = numbers, ways, *map(in_blocks, tensors)

    def results(degrees):
        def of_block(block):
            n, way, *tensors = block
            return _dispatch(direction, way, tensors, *pairs(n), degrees)

        return map_in_turn(of_block, blocks, (features, *shape))

    through_weights = partial(results, ())
    if not degrees:
        result = through_weights()
    else:
        # To choose costs something in each block, also where all choose the weights.
        some = ops.any(ways < len(degrees))
        result = ops.cond(some, partial(results, degrees), through_weights)
    return ops.reshape(result, (batch, heads, dim, *shape))


def _ways(exponents, degrees):
    """For each block the first of the degrees that will do, or how many there are.

    Args:
        exponents: the largest of each feature, of shape (blocks, features).
    """
    reach = np.array([series.reach(degree, exponents.dtype) for degree in degrees])
    too_far = ops.max(exponents, axis=1)[:, None] > ops.cast(reach, exponents.dtype)
    return ops.sum(ops.cast(too_far, "int32"), axis=1)


def _features_in_a_block(features, queries, keys, most):
    """The largest divisor of features with which a block has at most so many scores.

    Where TensorFlow knows a length only when it runs, a scalar tensor, else an int.
    """
    divisors = [n for n in range(1, features + 1) if features % n == 0]
    if isinstance(queries, int) and isinstance(keys, int):
        most = most // max(1, queries * keys)
        return max(n for n in divisors if n <= max(1, most))
    # One length after the other: their product may be too large for an int32.
    most = most // ops.maximum(queries, 1) // ops.maximum(keys, 1)
    divisors = ops.convert_to_tensor(divisors, dtype="int32")
    return ops.max(ops.where(divisors <= most, divisors, 1))


def _with_previous(x, factor, lag):
    """(B, H, T, d) to (B, H, d, 2, T): each feature, and factor times its prev."""
    both = ops.stack([x, factor * previous_by_head(x, lag)], axis=3)
    return ops.transpose(both, (0, 1, 4, 3, 2))


def _of_head(pairs, batch, head):
    if pairs is None:
        return None
    batches, heads, *rest = ops.shape(pairs)
    # An axis of length 1 is the same for all.
    n = ops.minimum(batch, batches - 1) * heads + ops.minimum(head, heads - 1)
    return ops.take(ops.reshape(pairs, (-1, *rest)), n, axis=0)[None]


def _dispatch(direction, way, tensors, mask, dropout_mask, degrees):
    """`_forward` or `_backward`: by the series to degrees[way], or by the weights."""
    x, y, *_ = tensors
    # XLA compiles anew for every length, so that it has to be known.
    known = None not in (x.shape[2], y.shape[2])
    through_weights = (
        _compiled_weights(direction) if known else partial(_through_weights, direction)
    )

    def exact():
        return through_weights(mask, dropout_mask, *tensors)

    if not degrees:
        return exact()
    by_degree = [
        partial(_compiled_series(direction, degree), mask, *tensors)
        for degree in degrees
    ]
    return ops.switch(way, [*by_degree, exact])


@cache
def _compiled_exponents():
    return compiled(series.largest_exponents)


@cache
def _compiled_series(direction, degree):
    """`_forward` or `_backward` by the series to a degree, compiled."""

    def by_moments(mask, *tensors):
        x, y, *_ = tensors
        *centered, _ = series.center(x, y, mask)
        sums_from = partial(series.sums_by_moments, *centered, degree)
        return direction(sums_from, *tensors)

    return compiled(by_moments)


@cache
def _compiled_weights(direction):
    return compiled(partial(_through_weights, direction))


def _through_weights(direction, mask, dropout_mask, *tensors):
    """`_forward` or `_backward` through the weights."""
    x, y, *_ = tensors
    return direction(partial(_exact_sums, x, y, mask, dropout_mask), *tensors)


def _forward(sums_from, x, y, v):
    """o_i, ∂o_i/∂x_i and log Σ_j exp(s_ij), as (n, 4, T)."""
    sums, log_total = sums_from(None)
    found = sums(_stack(v, v[:, None] * y), y)
    o = found[:, :1]
    covariance = found[:, 1:3] - o * found[:, 3:]
    return ops.concatenate([o, covariance, log_total], axis=1)


def _backward(sums_from, x, y, v, o, g, log_total):
    """∂L/∂v_j and ∂L/∂y_j, as (n, 3, S)."""
    sums, _ = sums_from(log_total[:, None])
    found = sums(_stack(g, g[:, None] * x), (g * o)[:, None] * x)
    dy = v[:, None] * found[:, 1:3] - found[:, 3:]
    return ops.concatenate([found[:, :1], dy], axis=1)


def _stack(one, two):
    return ops.concatenate([one[:, None], two], axis=1)


def _exact_sums(x, y, mask, dropout_mask, log_total):
    """Return a function that sums rows over the weights A_ij, and log Σ_j exp(s_ij).

    Without the latter it sums over the keys, Σ_j A_ij u_j; with it, of shape
    (n, 1, T), over the queries, Σ_i A_ij u_i. The function takes the rows whose
    weights dropout multiplies with kept_ij, and the rows whose weights it does not.
    """
    over_keys = log_total is None
    if over_keys:
        mask, dropout_mask = _swapped(mask), _swapped(dropout_mask)
        scores = _products(y, x)
    else:
        scores = _products(x, y)
    if mask is not None:
        scores = ops.where(mask, scores, LOWEST)
    if over_keys:
        # The largest of nothing is an error; there, any number will do.
        largest = ops.sum if 0 in scores.shape else ops.max
        shift = ops.stop_gradient(largest(scores, axis=1, keepdims=True))
    else:
        shift = _swapped(log_total)
    weights = ops.exp(scores - shift)
    if mask is not None:
        weights = ops.where(mask, weights, 0)
    total = 1.0
    if over_keys:
        total = ops.sum(weights, axis=1, keepdims=True)
        # 0 where there is nothing to attend to, and then every sum is 0.
        total = ops.where(total > 0, total, 1)
        log_total = shift + ops.log(total)

    def sum_up(weights, rows):
        return ops.einsum("nmu,nuk->nmk", rows, weights) / total

    def sums(dropped, plain):
        if dropout_mask is None:
            return sum_up(weights, ops.concatenate([dropped, plain], axis=1))
        dropped = sum_up(weights * dropout_mask, dropped)
        return ops.concatenate([dropped, sum_up(weights, plain)], axis=1)

    return sums, log_total


def _products(x, y):
    """x_i · y_j, as (n, T, S).

    Written out: XLA makes one loop of it and the exponential. What a sum goes over is
    the first of both axes, so that processors take many entries of the other at a time.
    """
    return x[:, 0, :, None] * y[:, 0, None] + x[:, 1, :, None] * y[:, 1, None]


def _swapped(pairs):
    return None if pairs is None else ops.swapaxes(pairs, 1, 2)
