"""The dot product of every query with every key, and attention by it."""

from collections.abc import Callable
from functools import cache
from typing import Any

import keras
from keras import ops

from diffattn.attention.backend import custom_gradient
from diffattn.attention.kernels.blocks import attend_in_blocks, fits_blocks


def dot_products(query: Any, key: Any, scale: float = 1.0) -> Any:
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


def attend_by_product(
    factors: Callable[[], tuple[Any, Any]],
    query: Any,
    key: Any,
    value: Any,
    mask: Any,
    dropout_mask: Any,
) -> Any:
    """Compute Σ_j A_ij v_j, A the softmax of x_i · y_j, if there is a lean way.

    On TensorFlow that is a block of queries at a time; without a mask, JAX and PyTorch
    have an attention of their own.

    Args:
        factors: computes x, of shape (B, H, T, m), and y, of shape (B, H, S, m).
        query, key: tensors of shapes (B, H, T, d) and (B, H, S, d), which these are of.
        value: tensor of shape (B, H, S, e).
        mask: None, or a boolean tensor that broadcasts to (B, H, T, S).
        dropout_mask: None, or what multiplies the weights.

    Returns:
        A tensor of shape (B, H, T, e) in the value's dtype; None if there is none.
    """
    if fits_blocks(query, key, dropout_mask):
        return attend_in_blocks(_products, *factors(), value, mask)
    fused = {"jax": _fused_in_jax, "torch": _fused_in_torch}
    backend = keras.config.backend()
    if backend not in fused or mask is not None or dropout_mask is not None:
        return None
    x, y = factors()
    attended = fused[backend](x, y, ops.cast(value, x.dtype))
    return None if attended is None else ops.cast(attended, value.dtype)


def _products(x, y):
    def gradient(g):
        return ops.einsum("bhts,bhsd->bhtd", g, y), ops.einsum("bhts,bhtd->bhsd", g, x)

    return dot_products(x, y), gradient


def _fused_in_jax(x, y, value):
    import jax

    if x.dtype == "float64":  # JAX takes float32 for the scores
        return None
    # It has tokens before heads, and knows one size for all.
    x, y, v = (
        ops.transpose(_widened(z, x, value), (0, 2, 1, 3)) for z in (x, y, value)
    )
    attended = jax.nn.dot_product_attention(x, y, v, scale=1.0)
    return ops.transpose(attended, (0, 2, 1, 3))[..., : value.shape[-1]]


def _widened(z, *others):
    """`z` with features of 0 up to the most that any has: no product changes."""
    missing = max(o.shape[-1] for o in others) - z.shape[-1]
    return ops.pad(z, [[0, 0], [0, 0], [0, 0], [0, missing]]) if missing else z


def _fused_in_torch(x, y, value):
    widened = [_widened(z, x, value) for z in (x, y, value)]
    return _attend_in_torch()(*widened)[..., : value.shape[-1]]


@cache
def _attend_in_torch():
    import torch

    def plain(x, y, value):
        return torch.softmax(x @ y.transpose(-1, -2), dim=-1) @ value

    # PyTorch's own gradient cannot be differentiated again.
    @custom_gradient(plain)
    def attend(*tensors):
        with torch.enable_grad():
            leaves = [x.detach().requires_grad_() for x in tensors]
            attended = torch.nn.functional.scaled_dot_product_attention(
                *leaves, scale=1.0
            )

        def gradient(g):
            return torch.autograd.grad(attended, leaves, g, retain_graph=True)

        return attended.detach(), gradient

    return attend
