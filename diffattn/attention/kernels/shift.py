"""One step back along the tokens, written once: `previous`, and the sum with it."""

from functools import cache
from typing import Any

from keras import ops

from diffattn.attention.backend import custom_gradient

#: The axes of queries and keys in scores of shape (B, H, T, S).
_PAIRS = (2, 3)


def previous(x: Any, lag: int = 1, axes: tuple[int, ...] = (2,)) -> Any:
    """Shift a tensor ``lag`` tokens on: prev(x)_i = x_{i − lag}, 0 before the first.

    Args:
        x: tensor of shape (B, H, T, d), or any other.
        lag: number of tokens.
        axes: the axes of tokens, counted from the front.

    Returns:
        A tensor of the same shape.
    """
    # Padded first and cut then, which is right for fewer tokens than the lag, too.
    widths = [[lag if a in axes else 0, 0] for a in range(len(x.shape))]
    cut = [slice(None, -lag if a in axes else None) for a in range(len(x.shape))]
    return ops.pad(x, widths)[tuple(cut)]


def following(x: Any, lag: int = 1, axes: tuple[int, ...] = (2,)) -> Any:
    """Shift a tensor ``lag`` tokens back, 0 behind the last: `previous` transposed."""
    widths = [[0, lag if a in axes else 0] for a in range(len(x.shape))]
    cut = [slice(lag if a in axes else None, None) for a in range(len(x.shape))]
    return ops.pad(x, widths)[tuple(cut)]


def plus_previous(products: Any, weight: float, lag: int = 1) -> Any:
    """Compute p_ij + λ p_{i−ℓ,j−ℓ}, with 0 before the first query and the first key.

    Args:
        products: tensor of shape (B, H, T, S).
        weight: λ.
        lag: ℓ.

    Returns:
        A tensor of the products' shape.
    """

    return _plus_previous(weight, lag)(products)


@cache
def _plus_previous(weight, lag):
    def plus(x, y):
        return x - y if weight == -1 else x + weight * y

    def plain(products):
        return plus(products, previous(products, lag, _PAIRS))

    @custom_gradient(plain)
    def total(products):
        def gradient(g):
            return (plus(g, following(g, lag, _PAIRS)),)

        return plain(products), gradient

    return total
