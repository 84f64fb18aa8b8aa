"""The output of `differential` without its (B, H, T, S, d) weights.

Taken by itself, one feature has the scores s_ij = x_i · y_j of two vectors of
size 2, x_i = scale · (q_i, −q_{i−1}) and y_j = (k_j, k_{j−1}). With the weights
A_ij, the softmax over j, and the output o_i = Σ_j A_ij v_j, the derivative of the
output by x_i is the covariance of value and key under these weights,

    ∂o_i/∂x_i = Σ_j A_ij v_j y_j − o_i Σ_j A_ij y_j,

and an upstream gradient g_i gives

    ∂L/∂v_j = Σ_i A_ij g_i,
    ∂L/∂y_j = v_j Σ_i A_ij g_i x_i − Σ_i A_ij g_i o_i x_i.

So output and gradient need nothing of the T × S weights but a few sums: over the
keys on the way forward, over the queries on the way back. Where all weights are few,
they are taken at once, else for a block of features at a time, in one of two ways:

- Whatever the scores are, the block's weights are computed, used and forgotten.
- Where a block's scores differ little from one another, exp(x_i · y_j) is
  expanded in moments, as the field of charges is far from them: it is
  Σ_p ψ_p(x_i) φ_p(y_j), with products of powers as ψ and φ. The sums then cost
  T + S times the number of terms, and no exponentials. The series ends where its
  remainder is below the rounding error of the dtype.
"""

import math
from functools import cache, partial

import keras
import numpy as np
from keras import ops

from diffattn.attention.backend import compiled, custom_gradient, map_in_turn
from diffattn.attention.kernels.distances import few_terms

#: Scores that a block may hold: many enough to keep the cores busy, few enough to
#: take little memory.
BLOCK = 2**23

#: Degrees at which the series may end.
DEGREES = 3, 5, 8, 13

#: Below any score that float32 can hold, and finite.
LOWEST = -3e38

#: The largest exponent left to the series: its terms grow to exp of this, and
#: rounding errors with them.
LARGEST_EXPONENT = 2.0


def masked_softmax(scores, mask, axis):
    """Softmax along the keys' axis, exactly 0 wherever the mask forbids.

    Args:
        scores: floating-point tensor.
        mask: None, or a boolean tensor that broadcasts to the scores.
        axis: int, the keys' axis.

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


def attend_per_feature(query, key, value, scale, mask, kept):
    """Σ_j A_ijc v_jc with A_ijc the softmax over j of `differential`'s scores.

    Args:
        query, key, value: floating-point tensors of shapes (B, H, T, d),
            (B, H, S, d) and (B, H, S, d).
        scale: the number that multiplies the scores; None for 1.
        mask: None, or a boolean tensor that broadcasts to (B, H, T, S).
        kept: None, or a tensor of shape (B, H, T, S) that multiplies the weights.

    Returns:
        A tensor of shape (B, H, T, d) in the value's dtype, computed in float32,
        or float64 if the query is.
    """
    given = value.dtype
    wide = keras.backend.standardize_dtype(query.dtype) == "float64"
    query, key, value, kept = (
        None if z is None else ops.cast(z, "float64" if wide else "float32")
        for z in (query, key, value, kept)
    )
    if scale is not None:
        query = float(scale) * query
    x, y = _with_previous(query, -1), _with_previous(key, 1)
    v = ops.transpose(value, (0, 1, 3, 2))
    sums = _at_once if few_terms(query, key) else _in_blocks
    output = _output(x, y, v, *sums(x, y, mask, kept))
    return ops.cast(ops.transpose(output, (0, 1, 3, 2)), given)


def _output(x, y, v, forward, backward):
    """The output (B, H, d, T) for x (B, H, d, 2, T), y (B, H, d, 2, S), v (B, H, d, S).

    ``forward`` gives o_i and ∂o_i/∂x_i as (B, H, d, 3, T); ``backward`` gives ∂L/∂v_j
    and ∂L/∂y_j as (B, H, d, 3, S).
    """

    @custom_gradient
    def output(x, y, v):
        found = forward(x, y, v)
        o, covariance = found[..., 0, :], found[..., 1:, :]

        def gradient(g):
            back = backward(x, y, v, o, g)
            return g[..., None, :] * covariance, back[..., 1:, :], back[..., 0, :]

        return o, gradient

    return output(x, y, v)


def _at_once(x, y, mask, kept):
    """`_output`'s forward and backward through the weights of all features."""
    features = ops.shape(x)[:3]

    def pairs(z):
        """(B, H, T, S) to (B·H·d, T, S); an axis of length 1 may stand for T or S."""
        if z is None:
            return None
        rest = ops.shape(z)[2:]
        return _joined(ops.broadcast_to(z[:, :, None], (*features, *rest)))

    def one_way(direction):
        def run(*tensors):
            x, y, *others = map(_joined, tensors)
            sums = _exact_sums(direction, x, y, pairs(mask), pairs(kept))
            found = direction(sums, x, y, *others)
            return ops.reshape(found, (*features, *ops.shape(found)[1:]))

        return run

    return one_way(_forward), one_way(_backward)


def _joined(x):
    """(B, H, d, …) to (B·H·d, …)."""
    shape = ops.shape(x)
    return ops.reshape(x, (math.prod(shape[:3]), *shape[3:]))


def _in_blocks(x, y, mask, kept):
    """`_output`'s forward and backward, a block of features at a time."""
    (batch, heads, dim, _, queries), keys = ops.shape(x), ops.shape(y)[4]
    # What differs between heads must not meet in a block.
    groups = (
        heads if any(z is not None and z.shape[1] != 1 for z in (mask, kept)) else 1
    )
    in_a_group = heads * dim // groups
    features = _features_in_a_block(in_a_group, queries, keys)
    blocks_in_a_group = in_a_group // features
    number = batch * groups * blocks_in_a_group
    degrees = _degrees(mask, kept, y.shape[4])

    def pairs(n):
        """Mask and dropout of block n, each of shape (1, T or 1, S) or None."""
        group = n // blocks_in_a_group
        return [_of_head(z, group // groups, group % groups) for z in (mask, kept)]

    def one_way(direction, length):
        def of_block(block):
            n, x, y, *others = block
            return _either(direction, x, y, others, *pairs(n), degrees)

        def run(*tensors):
            blocks = [
                ops.reshape(z, (number, features, *ops.shape(z)[3:])) for z in tensors
            ]
            found = map_in_turn(
                of_block, (ops.arange(number), *blocks), (features, 3, length)
            )
            return ops.reshape(found, (batch, heads, dim, 3, length))

        return run

    return one_way(_forward, queries), one_way(_backward, keys)


def _features_in_a_block(features, queries, keys):
    """The largest divisor of features with which a block stays within `BLOCK`.

    Where TensorFlow knows a length only when it runs, a scalar tensor, else an int.
    """
    divisors = [n for n in range(1, features + 1) if features % n == 0]
    if isinstance(queries, int) and isinstance(keys, int):
        most = BLOCK // max(1, queries * keys)
        return max(n for n in divisors if n <= max(1, most))
    # One length after the other: their product may be too large for an int32.
    most = BLOCK // ops.maximum(queries, 1) // ops.maximum(keys, 1)
    divisors = ops.convert_to_tensor(divisors, dtype="int32")
    return ops.max(ops.where(divisors <= most, divisors, 1))


def _with_previous(x, sign):
    """(B, H, T, d) to (B, H, d, 2, T): each feature, and sign times its prev."""
    x = ops.transpose(x, (0, 1, 3, 2))
    # Padded first and cut then, which is right for no tokens too.
    previous = ops.pad(sign * x, [[0, 0], [0, 0], [0, 0], [1, 0]])[..., :-1]
    return ops.stack([x, previous], axis=3)


def _of_head(pairs, batch, head):
    if pairs is None:
        return None
    batches, heads, *rest = ops.shape(pairs)
    # An axis of length 1 is the same for all.
    n = ops.minimum(batch, batches - 1) * heads + ops.minimum(head, heads - 1)
    return ops.take(ops.reshape(pairs, (-1, *rest)), n, axis=0)[None]


def _degrees(mask, kept, keys):
    """The degrees of the series that can help, lowest first.

    It sums over all queries with the same keys, so that no pair can be treated
    by itself; and with nearly as many terms as keys there is nothing to gain.
    """
    by_pairs = kept is not None or (
        mask is not None and tuple(mask.shape[1:3]) != (1, 1)
    )
    if by_pairs or keys is None:
        return ()
    return tuple(r for r in DEGREES if 4 * _terms(r) <= keys)


def _forward(sums, x, y, v):
    """o_i and ∂o_i/∂x_i, as (n, 3, T)."""
    found = sums(_stack(v, v[:, None] * y), y)
    o = found[:, :1]
    return ops.concatenate([o, found[:, 1:3] - o * found[:, 3:]], axis=1)


def _backward(sums, x, y, v, o, g):
    """∂L/∂v_j and ∂L/∂y_j, as (n, 3, S)."""
    found = sums(_stack(g, g[:, None] * x), (g * o)[:, None] * x)
    dy = v[:, None] * found[:, 1:3] - found[:, 3:]
    return ops.concatenate([found[:, :1], dy], axis=1)


def _stack(one, two):
    return ops.concatenate([one[:, None], two], axis=1)


def _either(direction, x, y, others, mask, kept, degrees):
    """`_forward` or `_backward`, by the lowest degree that will do or by weights."""

    def exact():
        return direction(_exact_sums(direction, x, y, mask, kept), x, y, *others)

    if not degrees:
        return exact()
    *centred, largest = compiled(_centred)(x, y, mask)
    reach = np.array([_reach(degree, x.dtype) for degree in degrees])
    series = [
        partial(_compiled_series(direction, degree), *centred, x, y, *others)
        for degree in degrees
    ]
    enough = ops.sum(ops.cast(largest > ops.cast(reach, x.dtype), "int32"))
    return ops.switch(enough, [*series, exact])


def _exact_sums(direction, x, y, mask, kept):
    """Σ_j A_ij u_j or Σ_i A_ij u_i as a function of rows u, through the weights.

    The function takes the rows whose weights dropout multiplies with kept_ij, and
    the rows whose weights it does not.
    """
    over = "nts,nms->nmt" if direction is _forward else "nts,nmt->nms"
    weights = masked_softmax(ops.einsum("nct,ncs->nts", x, y), mask, axis=2)

    def sums(dropped, plain):
        if kept is None:
            return ops.einsum(over, weights, ops.concatenate([dropped, plain], axis=1))
        dropped = ops.einsum(over, weights * kept, dropped)
        return ops.concatenate([dropped, ops.einsum(over, weights, plain)], axis=1)

    return sums


@cache
def _compiled_series(direction, degree):
    def run(xi, eta, w, x, y, *others):
        psi, phi = _powers(xi, degree), _powers(eta, degree) * w
        total = _expand(psi, _moments(phi, ops.ones_like(w)))
        # 0 where there is nothing to attend to, and then every sum is 0.
        total = ops.where(total > 0, total, 1)

        def sums(dropped, plain):
            rows = ops.concatenate([dropped, plain], axis=1)
            if direction is _forward:
                return _expand(psi, _moments(phi, rows)) / total
            return _expand(phi, _moments(psi, rows / total))

        return direction(sums, x, y, *others)

    def written_down(xi, eta, w, x, y, *others):
        # The series is a function of x and y alone, and this is the same one.
        return direction(_exact_sums(direction, x, y, w > 0, None), x, y, *others)

    return compiled(run, written_down)


def _moments(basis, rows):
    return ops.einsum("nps,nms->npm", basis, rows)


def _expand(basis, moments):
    return ops.einsum("npt,npm->nmt", basis, moments)


def _centred(x, y, mask):
    """A block's x and y about their middles, and what that makes of exp(x_i · y_j).

    About a middle x̄ of the queries, exp(x_i · y_j) = exp((x_i − x̄) · y_j) w_j with
    w_j = exp(x̄ · y_j). About the mean ȳ of the keys under these w_j it changes by
    a factor that depends on i alone, which the softmax does not see; and then, by
    Jensen's inequality, Σ_j exp((x_i − x̄) · (y_j − ȳ)) w_j is at least Σ_j w_j, so
    that a small error of the exponential stays small against the sum.

    Returns:
        (ξ, η, w, largest): ξ of shape (n, 2, T) within [−1, 1], η of shape
        (n, 2, S), w of shape (n, 1, S) with largest entry 1 and 0 at masked
        keys, and the largest that |ξ_i · η_j| can be in the block.
    """
    low, high = ops.min(x, -1, keepdims=True), ops.max(x, -1, keepdims=True)
    middle, radius = (low + high) / 2, (high - low) / 2
    w = ops.sum(middle * y, axis=1, keepdims=True)
    if mask is not None:
        w = ops.where(mask, w, LOWEST)
    w = ops.exp(w - ops.max(w, -1, keepdims=True))
    if mask is not None:
        w = ops.where(mask, w, 0)
    total = ops.sum(w, -1, keepdims=True)
    mean = ops.sum(w * y, -1, keepdims=True) / ops.where(total > 0, total, 1)
    xi = (x - middle) / ops.where(radius > 0, radius, 1)
    eta = (y - mean) * radius
    if mask is not None:
        eta = ops.where(mask, eta, 0)
    return xi, eta, w, ops.max(ops.sum(ops.max(ops.abs(eta), -1), -1))


def _terms(degree):
    return (degree + 1) * (degree + 2) // 2


def _reach(degree, dtype):
    """The exponent up to which exp's series to this degree is exact to rounding."""
    epsilon = float(np.finfo(keras.backend.standardize_dtype(dtype)).eps)
    reach = (epsilon / 4 * math.factorial(degree + 1)) ** (1 / (degree + 1))
    return min(reach, LARGEST_EXPONENT)


def _powers(x, degree):
    """z₁^p z₂^q / √(p! q!) for p + q up to the degree: (n, 2, L) to (n, terms, L).

    The product of these for ξ and for η, summed, is the series of exp(ξ · η).
    """
    powers = [ops.ones_like(x)]
    for p in range(1, degree + 1):
        powers.append(powers[-1] * x / math.sqrt(p))
    powers = ops.stack(powers, axis=2)
    first, second = powers[:, 0], powers[:, 1]
    return ops.concatenate(
        [first[:, p, None] * second[:, : degree + 1 - p] for p in range(degree + 1)],
        axis=1,
    )
