"""The dot product of every query with every key."""

from typing import Any

from keras import ops


def dot_products(query: Any, key: Any, scale: float) -> Any:
    """Compute scale · q_i · k_j as one matrix product.

    Args:
        query, key: tensors of shapes (B, H, T, d) and (B, H, S, d).
        scale: a number.

    Returns:
        A tensor of shape (B, H, T, S).
    """
    return ops.einsum("bhtd,bhsd->bhts", times(query, scale), key)


def by_head(x: Any) -> Any:
    """Shape a number for each head, (H,), to multiply (B, H, T, d): (1, H, 1, 1)."""
    return ops.reshape(x, (1, -1, 1, 1))


def times(x: Any, scale: float) -> Any:
    """Multiply by the scale: the query, which is smaller than scores proportional."""
    return x if scale == 1 else x * scale
