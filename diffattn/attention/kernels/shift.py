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


def previous_in_segment(x: Any, lag: int = 1, segment_ids: Any = None) -> Any:
    """`previous`, and 0 also where x_{i − lag} belongs to another segment than x_i.

    Args:
        x: tensor of shape (B, H, T, d).
        lag: number of tokens.
        segment_ids: None, or an integer tensor of shape (B, T) or (1, T).

    Returns:
        A tensor of the same shape.
    """
    shifted = previous(x, lag)
    if segment_ids is None:
        return shifted
    is_same = ops.equal(segment_ids, previous(segment_ids, lag, axes=(1,)))
    return ops.where(is_same[:, None, :, None], shifted, 0)


def previous_by_head(
    x: Any, lag: int | tuple[int, ...], segment_ids: Any = None
) -> Any:
    """`previous`, with one lag for all heads, or one for each group of heads.

    Args:
        x: tensor of shape (B, H, T, d).
        lag: number of tokens; or n of them, the first for the first H / n heads, and
            so on.
        segment_ids: as for `previous_in_segment`.

    Returns:
        A tensor of the same shape.

    Raises:
        ValueError: if n does not divide H.
    """
    if isinstance(lag, int):
        return previous_in_segment(x, lag, segment_ids)
    check_lag(lag, x.shape[1])
    groups = ops.split(x, len(lag), axis=1)
    shifted = [
        previous_in_segment(group, n, segment_ids)
        for group, n in zip(groups, lag, strict=True)
    ]
    return ops.concatenate(shifted, axis=1)


def check_lag(lag: int | tuple[int, ...], num_heads: int) -> None:
    """Raise a ValueError unless the heads can be shared evenly among the lags."""
    if isinstance(lag, tuple) and num_heads % len(lag):
        raise ValueError(
            "the number of lags must divide the number of heads. "
            f"Received: lag={lag!r}, {num_heads} heads"
        )


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
