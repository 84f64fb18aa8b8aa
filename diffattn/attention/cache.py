"""The keys and values of the tokens so far, kept for the tokens to come.

A cache is one tensor of shape (B, n, S, H, d): what the layer has projected, for S
tokens at most. n is 2, keys and values, as in KerasHub's ``CachedMultiHeadAttention``;
a score that looks back at earlier queries has them as a third.
"""

import numbers
from typing import Any

from keras import ops

from diffattn.attention.shapes import may_equal

KEYS, VALUES, QUERIES = 0, 1, 2


def check_cache(cache: Any, expected: tuple, index: Any, tokens: int | None) -> None:
    """Raise a ValueError unless a cache has its shape and room for the new tokens.

    Args:
        cache: the tensor.
        expected: the shape (B, n, S, H, d), None where unknown.
        index: None, or where the new tokens begin. Only an int can be checked: a
            tensor's value may not be known yet.
        tokens: the number of new tokens, None where unknown.
    """
    shape = tuple(cache.shape)
    if len(shape) != 5 or not may_equal(shape, expected):
        raise ValueError(
            f"cache must have shape (B, n, S, H, d) = {expected}, as make_cache "
            f"returns it. Received: cache of shape {shape}"
        )
    if index is None or tokens is None or shape[2] is None:
        return
    is_int = isinstance(index, numbers.Integral)
    first = int(index) if is_int else 0
    if first < 0 or first + tokens > shape[2]:
        raise ValueError(
            f"the cache has room for {shape[2]} tokens. Received: {tokens} tokens, "
            f"cache_update_index={index}"
        )


def as_index(index: Any) -> Any:
    """Return an index as an int if it is one, else as an int32 tensor; None as None."""
    if index is None or isinstance(index, numbers.Integral):
        return None if index is None else int(index)
    return ops.cast(index, "int32")


def write(cache: Any, index: Any, *parts: Any) -> Any:
    """Return the cache with new tokens from the place `index` on.

    Args:
        cache: tensor of shape (B, n, S, H, d).
        index: int or int32 scalar tensor.
        *parts: n tensors of shape (B, H, T, d), in the cache's order.
    """
    # Not `ops.slice_update`, which TensorFlow neither differentiates nor exports.
    new = ops.transpose(ops.stack(parts, axis=1), (0, 1, 3, 2, 4))
    is_new, source = _new_places(index, ops.shape(new)[2], ops.shape(cache)[2])
    new = ops.take(ops.cast(new, cache.dtype), source, axis=2)
    return ops.where(is_new[:, None, None], new, cache)


def read(cache: Any, part: int) -> Any:
    """Return the keys, values or queries of a cache, as (B, H, S, d)."""
    return ops.transpose(cache[:, part], (0, 2, 1, 3))


def queries_before(cache: Any, index: Any, number: int) -> Any:
    """Return the queries just before the place `index`, 0 where there are none.

    Returns:
        A tensor of shape (B, H, number, d).
    """
    places = index - number + ops.arange(number, dtype="int32")
    queries = ops.take(cache[:, QUERIES], ops.maximum(places, 0), axis=1)
    queries = ops.where((places >= 0)[:, None, None], queries, 0)
    return ops.transpose(queries, (0, 2, 1, 3))


def mask_in_cache(mask: Any, index: Any, length: Any) -> Any:
    """Spread the padding mask of new tokens over a cache, True at all other places.

    Args:
        mask: None, or a boolean tensor of shape (B, T) or (1, T).
        index: where the new tokens begin, an int or an int32 scalar tensor.
        length: S.

    Returns:
        A boolean tensor of shape (B, S) or (1, S), or None.
    """
    if mask is None:
        return None
    is_new, source = _new_places(index, ops.shape(mask)[1], length)
    return ops.logical_or(ops.logical_not(is_new)[None], ops.take(mask, source, axis=1))


def _new_places(index, tokens, length):
    """Which places of a cache are new, and which new token each would have: (S,)."""
    among_new = ops.arange(length, dtype="int32") - index
    is_new = ops.logical_and(among_new >= 0, among_new < tokens)
    return is_new, ops.where(is_new, among_new, 0)
