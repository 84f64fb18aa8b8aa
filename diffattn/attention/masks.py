"""Masks, checked and brought to one shape."""

from collections.abc import Sequence
from typing import Any

import keras
from keras import ops

from diffattn.attention.shapes import floating, may_equal


def pair_mask(mask: Any, pairs: Sequence, name: str = "mask") -> Any:
    """Return a mask as a boolean tensor of four axes that broadcasts to (B, H, T, S).

    Args:
        mask: boolean (or integer, 0 and 1) tensor of shape (B, H, T, S),
            (B, T, S) or (T, S), or with 1 for any of these.
        pairs: the shape (B, H, T, S), None where unknown.
        name: the argument's name, for the error.

    Raises:
        ValueError: on a floating-point mask or one that does not broadcast.
    """
    return _of_pairs(_boolean(name, mask, "where a pair may attend"), pairs, name)


def pair_bias(bias: Any, pairs: Sequence, name: str = "bias") -> Any:
    """Return a bias as a tensor of four axes that broadcasts to (B, H, T, S).

    Args:
        bias: floating-point tensor, of any shape that `pair_mask` takes.
        pairs: the shape (B, H, T, S), None where unknown.
        name: the argument's name, for the error.

    Raises:
        ValueError: on a bias that is not floating-point or does not broadcast.
    """
    if not isinstance(bias, keras.KerasTensor):
        bias = floating(name, bias)
    return _of_pairs(bias, pairs, name)


def plus_bias(scores: Any, bias: Any) -> Any:
    """Add a bias to scores (B, H, T, S), or to (B, H, T, S, d) alike for all features.

    Args:
        scores: the scores.
        bias: None, or as for `pair_bias`.

    Returns:
        A tensor of the scores' shape and dtype.
    """
    if bias is None:
        return scores
    bias = ops.cast(pair_bias(bias, scores.shape[:4]), scores.dtype)
    return scores + (ops.expand_dims(bias, -1) if len(scores.shape) == 5 else bias)


def causal_mask(queries: Any, keys: Any, offset: Any = 0) -> Any:
    """Allow key j for query i where j ≤ i + offset.

    Args:
        queries, keys: their numbers, T and S.
        offset: the place of the first query among the keys: 0, a negative number if
            it stands before them, or an int32 scalar tensor.

    Returns:
        A boolean tensor of shape (1, 1, T, S).
    """
    i = ops.arange(queries, dtype="int32")[:, None] + offset
    j = ops.arange(keys, dtype="int32")[None, :]
    return (j <= i)[None, None]


def _of_pairs(x, pairs, name):
    """A mask or bias with four axes, or a ValueError that names it."""
    shape = tuple(x.shape)
    if len(shape) == 3:
        x = ops.expand_dims(x, 1)
    elif len(shape) == 2:
        x = ops.expand_dims(x, (0, 1))
    if len(x.shape) != 4 or not _broadcasts(x.shape, pairs):
        raise ValueError(
            f"{name} must have shape (B, H, T, S), (B, T, S) or (T, S), or broadcast "
            f"to it. Received: {name} of shape {shape}, (B, H, T, S) = {tuple(pairs)}"
        )
    return x


def padding_mask(mask: Any, tokens: Sequence, name: str = "mask") -> Any:
    """Return a padding mask as a boolean tensor of shape (B, T) or (1, T), or None.

    Args:
        mask: None, or a boolean (or integer, 0 and 1) tensor of shape (B, T), or
            (1, T) for the whole batch, True at the tokens that count.
        tokens: the shape (B, T), None where unknown.
        name: the argument's name, for the error.

    Raises:
        ValueError: on a floating-point mask or one of another shape.
    """
    if mask is None:
        return None
    mask = _boolean(name, mask, "at the tokens that count")
    shape, tokens = tuple(mask.shape), tuple(tokens)
    fits = len(shape) == 2 and may_equal(shape[1:], tokens[1:])
    if not fits or not _broadcasts(shape[:1], tokens[:1]):
        raise ValueError(
            f"{name} must have shape (batch, tokens) = {tokens}. "
            f"Received: {name} of shape {shape}"
        )
    return mask


def both(a: Any, b: Any) -> Any:
    """AND two boolean masks, either of which may be missing."""
    if a is None or b is None or a is b:
        return b if a is None else a
    return ops.logical_and(a, b)


def without_padding(x: Any, mask: Any, axis: int = 2) -> Any:
    """Set a tensor to 0 at the tokens that a padding mask leaves out.

    Args:
        x: tensor of shape (B, …), with the tokens along ``axis``.
        mask: None, or a boolean tensor of shape (B, T) or (1, T).
        axis: the tokens' axis.

    Returns:
        A tensor of the same shape. Whatever stood there, NaN too, has no part in
        it and in no gradient.
    """
    if mask is None:
        return x
    others = [a for a in range(1, len(x.shape)) if a != axis]
    return ops.where(ops.expand_dims(mask, others), x, 0)


def _boolean(name, mask, true_where):
    """The mask as a boolean tensor, or a ValueError that names it."""
    if not isinstance(mask, keras.KerasTensor):
        try:
            mask = ops.convert_to_tensor(mask)
        except Exception as error:  # each backend has its own
            raise ValueError(
                f"{name} must be a boolean tensor, True {true_where}. "
                f"Received: {name}={mask!r}"
            ) from error
    dtype = keras.backend.standardize_dtype(mask.dtype)
    if dtype != "bool" and not keras.backend.is_int_dtype(dtype):
        raise ValueError(
            f"{name} must be boolean, True {true_where}. "
            f"Received: {name} of dtype {dtype}"
        )
    return ops.cast(mask, "bool")


def _broadcasts(shape, wanted):
    """Whether a shape equals the wanted one or has 1 instead, where both are known."""
    pairs = zip(shape, wanted, strict=True)
    return all(m == 1 or may_equal([m], [n]) for m, n in pairs)
