"""Tensors checked before anything is computed: dtypes and shapes."""

from collections.abc import Sequence
from typing import Any

import keras
from keras import ops


def floating(name: str, x: Any) -> Any:
    """Return `x` as a tensor.

    Raises:
        ValueError: if it is not floating-point; the message names it.
    """
    x = ops.convert_to_tensor(x)
    dtype = keras.backend.standardize_dtype(x.dtype)
    if not keras.backend.is_float_dtype(dtype):
        raise ValueError(
            f"{name} must be a floating-point tensor. Received: {name} of dtype {dtype}"
        )
    return x


def at_least_float32(**tensors: Any) -> list:
    """Cast tensors to one dtype: float64 if the first has it, else float32."""
    tensors = {name: floating(name, x) for name, x in tensors.items()}
    dtype = dtype_of_scores(next(iter(tensors.values())))
    return [ops.cast(x, dtype) for x in tensors.values()]


def dtype_of_scores(query: Any) -> str:
    """Return the dtype in which scores are computed: "float32", or "float64"."""
    is_double = keras.backend.standardize_dtype(query.dtype) == "float64"
    return "float64" if is_double else "float32"


def check_shapes(query: Any, key: Any) -> None:
    """Raise a ValueError unless they are (B, H, T, d) and (B, H, S, d)."""
    fits = (
        len(query.shape) == len(key.shape) == 4
        and query.shape[-1] == key.shape[-1]
        and may_equal(query.shape[:2], key.shape[:2])
    )
    if not fits:
        raise ValueError(
            "query and key must have shapes (B, H, T, d) and (B, H, S, d). "
            f"Received: query of shape {tuple(query.shape)}, "
            f"key of shape {tuple(key.shape)}"
        )


def may_equal(a: Sequence, b: Sequence) -> bool:
    """Tell whether two shapes are equal where both are known."""
    return all(m is None or n is None or m == n for m, n in zip(a, b, strict=True))
