"""Sums over attention weights by a series in moments, without the weights.

Where a block's scores differ little from one another, exp(x_i · y_j) is expanded in
moments, as the field of charges is far from them: it is Σ_p ψ_p(x_i) φ_p(y_j), with
products of powers as ψ and φ. Sums over queries or keys then cost T + S times the
number of terms, and no exponentials. The series ends where its remainder is below the
rounding error of the dtype.
"""

import math
from collections.abc import Callable
from typing import Any

import keras
import numpy as np
from keras import ops

from diffattn.attention.kernels.softmax import LOWEST

#: Degrees at which the series may end.
DEGREES = 3, 5, 8, 13

#: The largest exponent left to the series: its terms grow to exp of this, and
#: rounding errors with them.
LARGEST_EXPONENT = 2.0


def degrees_for(mask: Any, dropout_mask: Any, keys: int | None) -> tuple[int, ...]:
    """List the degrees of the series that can help, lowest first.

    It sums over all queries with the same keys, so that no pair can be treated
    by itself; and with nearly as many terms as keys there is nothing to gain.
    """
    by_pairs = dropout_mask is not None or (
        mask is not None and tuple(mask.shape[1:3]) != (1, 1)
    )
    if by_pairs or keys is None:
        return ()
    return tuple(r for r in DEGREES if 4 * _terms(r) <= keys)


def sums_by_moments(
    xi: Any, eta: Any, w: Any, offset: Any, degree: int, log_total: Any
) -> tuple[Callable[[Any, Any], Any], Any]:
    """Return a function that sums rows over the weights A_ij, and log Σ_j exp(s_ij).

    Args:
        xi, eta, w, offset: what `center` returns.
        degree: at which the series ends.
        log_total: None, and it sums Σ_j A_ij u_j; or what it has returned for that,
            of shape (n, 1, T), and it sums Σ_i A_ij u_i.

    Returns:
        A function of two tensors of rows (n, m, S) or (n, m, T), as `_exact_sums` in
        `per_feature` has it; without dropout there is no difference between them.
        And log Σ_j exp(s_ij), of shape (n, 1, T).
    """
    psi, phi = _powers(xi, degree), _powers(eta, degree) * w
    # On the way back too: where the offset is large, its logarithm has lost digits.
    total = _expand(psi, _moments(phi, ops.ones_like(w)))
    # 0 where there is nothing to attend to, and then every sum is 0.
    total = ops.where(total > 0, total, 1)

    def sums(dropped, plain):
        rows = ops.concatenate([dropped, plain], axis=1)
        if log_total is None:
            return _expand(psi, _moments(phi, rows)) / total
        return _expand(phi, _moments(psi, rows / total))

    return sums, ops.log(total) + offset


def _moments(basis, rows):
    return ops.einsum("nps,nms->npm", basis, rows)


def _expand(basis, moments):
    return ops.einsum("npt,npm->nmt", basis, moments)


def largest_exponents(x: Any, y: Any, mask: Any) -> Any:
    """Return for each feature the largest that |ξ_i · η_j| of `center` can be.

    Args:
        x, y: tensors of shapes (B, H, d, 2, T) and (B, H, d, 2, S).
        mask: None, or a boolean tensor of shape (B or 1, 1, 1, S or 1).

    Returns:
        A tensor of shape (B, H, d).
    """
    return center(x, y, None if mask is None else mask[:, None])[-1]


def center(x: Any, y: Any, mask: Any) -> tuple[Any, Any, Any, Any, Any]:
    """Center x and y, and follow what that makes of exp(x_i · y_j).

    About a middle x̄ of the queries, exp(x_i · y_j) = exp((x_i − x̄) · y_j) w_j with
    w_j = exp(x̄ · y_j). About the mean ȳ of the keys under these w_j it changes by
    a factor that depends on i alone, which the softmax does not see; and then, by
    Jensen's inequality, Σ_j exp((x_i − x̄) · (y_j − ȳ)) w_j is at least Σ_j w_j, so
    that a small error of the exponential stays small against the sum.

    Returns:
        (ξ, η, w, offset, largest): ξ of shape (…, 2, T) within [−1, 1], η of shape
        (…, 2, S), w of shape (…, 1, S) with largest entry 1 and 0 at masked
        keys, offset of shape (…, 1, T) with exp(x_i · y_j) =
        exp(ξ_i · η_j + offset_i) w_j, and the largest that |ξ_i · η_j| can be.
    """
    low, high = ops.min(x, -1, keepdims=True), ops.max(x, -1, keepdims=True)
    middle, radius = (low + high) / 2, (high - low) / 2
    w = ops.sum(middle * y, axis=-2, keepdims=True)
    if mask is not None:
        w = ops.where(mask, w, LOWEST)
    top = ops.max(w, -1, keepdims=True)
    w = ops.exp(w - top)
    if mask is not None:
        w = ops.where(mask, w, 0)
    total = ops.sum(w, -1, keepdims=True)
    mean = ops.sum(w * y, -1, keepdims=True) / ops.where(total > 0, total, 1)
    offset = top + ops.sum((x - middle) * mean, axis=-2, keepdims=True)
    xi = (x - middle) / ops.where(radius > 0, radius, 1)
    eta = (y - mean) * radius
    if mask is not None:
        eta = ops.where(mask, eta, 0)
    return xi, eta, w, offset, ops.max(ops.sum(ops.abs(eta), axis=-2), axis=-1)


def _terms(degree):
    return (degree + 1) * (degree + 2) // 2


def reach(degree: int, dtype: Any) -> float:
    """Return the exponent up to which exp's series to this degree is exact."""
    epsilon = float(np.finfo(keras.backend.standardize_dtype(dtype)).eps)
    largest = (epsilon / 4 * math.factorial(degree + 1)) ** (1 / (degree + 1))
    return min(largest, LARGEST_EXPONENT)


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
