"""The cosine of every query and every key, and its gradient."""

import math
from typing import Any

from keras import ops

from diffattn.attention.backend import compiled, custom_gradient
from diffattn.attention.kernels.sizes import few_terms


def cosines(query: Any, key: Any) -> Any:
    """Compute q_i · k_j / (‖q_i‖ ‖k_j‖), and 0 for a zero vector.

    Args:
        query: tensor of shape (B, H, T, d), float32 or float64.
        key: tensor of shape (B, H, S, d) and the same dtype.

    Returns:
        A tensor of shape (B, H, T, S).
    """
    return _cosines(query, key)


def units(query: Any, key: Any) -> tuple[Any, Any]:
    """Return query and key with all their vectors at length 1, zero vectors as 0."""
    return _unit(query)[0], _unit(key)[0]


def _plain_cosines(query, key):
    return ops.einsum("bhtd,bhsd->bhts", *units(query, key))


@custom_gradient(_plain_cosines)
def _cosines(query, key):
    # Compiling takes longer than it saves where there is little to compute.
    run = (lambda function: function) if few_terms(query, key) else compiled
    q, q_factor, k, k_factor = run(_units)(query, key)

    def gradient(g):
        g_q = ops.einsum("bhts,bhsd->bhtd", g, k)
        g_k = ops.einsum("bhts,bhtd->bhsd", g, q)
        return run(_gradients_of_units)(q, q_factor, g_q, k, k_factor, g_k)

    return ops.einsum("bhtd,bhsd->bhts", q, k), gradient


def _units(query, key):
    return *_unit(query), *_unit(key)


def _unit(x):
    """Rows of length 1, and what each was multiplied with; 0 and 0 for a zero row."""
    # The largest entry goes first, so that tiny rows do not square to 0. The result
    # does not depend on it, and so the derivatives need not.
    largest = ops.stop_gradient(ops.max(ops.abs(x), axis=-1, keepdims=True, initial=0))
    nonzero = largest > 0
    scaled = x / ops.where(nonzero, largest, 1)
    squared = ops.sum(ops.square(scaled), axis=-1, keepdims=True)
    length = ops.sqrt(ops.where(nonzero, squared, 1))
    # By infinity, so that the derivative is 0 too.
    unit = scaled / ops.where(nonzero, length, math.inf)
    return unit, ops.where(nonzero, 1 / ops.where(nonzero, length * largest, 1), 0)


def _gradients_of_units(q, q_factor, g_q, k, k_factor, g_k):
    return _gradient_of_unit(q, q_factor, g_q), _gradient_of_unit(k, k_factor, g_k)


def _gradient_of_unit(unit, factor, g):
    return factor * (g - unit * ops.sum(unit * g, axis=-1, keepdims=True))
