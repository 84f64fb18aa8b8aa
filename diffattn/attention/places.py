"""Where tokens stand: what a score may ask for, and rotary positions."""

from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
from keras import ops

from diffattn.attention.shapes import dtype_of_scores, may_equal


@dataclass(frozen=True)
class Places:
    """Where queries and keys stand, for the scores that ask for it.

    Attributes:
        query_offset: the place of the first query, where the first key has the place
            0: an int or an int32 scalar tensor. It is 0 unless the queries are the
            later part of a text.
        segment_ids: None, or an integer tensor of shape (B, T) or (1, T): the segment
            that query i and key i belong to. What is before a segment's first token
            belongs to another text and counts as nothing.
    """

    query_offset: Any = 0
    segment_ids: Any = None


def segments_of(places: Places | None) -> Any:
    """Return the segment ids that a score has to look within, or None."""
    return None if places is None else places.segment_ids


def check_segment_ids(segment_ids: Any, tokens: tuple) -> Any:
    """Return segment ids as an int32 tensor of shape (B, T) or (1, T).

    Args:
        segment_ids: integers, one for each token.
        tokens: the shape (B, T), None where unknown.

    Raises:
        ValueError: if they are not integers or have another shape.
    """
    if not isinstance(segment_ids, keras.KerasTensor):
        segment_ids = ops.convert_to_tensor(segment_ids)
    dtype = keras.backend.standardize_dtype(segment_ids.dtype)
    shape = tuple(segment_ids.shape)
    fits = len(shape) == 2 and may_equal(shape[1:], tokens[1:])
    fits = fits and (shape[0] == 1 or may_equal(shape[:1], tokens[:1]))
    if not fits or not keras.backend.is_int_dtype(dtype):
        raise ValueError(
            f"segment_ids must be integers of shape (batch, tokens) = {tuple(tokens)}. "
            f"Received: segment_ids of dtype {dtype} and shape {shape}"
        )
    return ops.cast(segment_ids, "int32")


def same_segment(segment_ids: Any) -> Any:
    """Tell which pairs of tokens share a segment: (B, T) to boolean (B, T, T)."""
    return ops.equal(segment_ids[:, :, None], segment_ids[:, None, :])


def places_in_segments(segment_ids: Any) -> Any:
    """Count the tokens before each in its segment: int32 of shape (B, T)."""
    # The first token of the same segment is where it begins.
    start = ops.argmax(ops.cast(same_segment(segment_ids), "int32"), axis=-1)
    tokens = ops.arange(ops.shape(segment_ids)[1], dtype="int32")
    return tokens - ops.cast(start, "int32")


def rotate(x: Any, places: Any, base: float = 10_000.0) -> Any:
    """Turn vectors by the angles of their places: rotary positions.

    The features c and c + d/2 are a pair, turned by the angle place · base^(−2c/d).

    Args:
        x: tensor of shape (B, H, T, d) with an even d.
        places: int32 tensor of shape (T,), or of shape (B, T) or (1, T).
        base: number above 1.

    Returns:
        A tensor of the shape and dtype of `x`. Angles are computed in float32, or
        float64 if `x` is.
    """
    dim, dtype = x.shape[-1], dtype_of_scores(x)
    theta = base ** (-np.arange(0, dim, 2) / dim)
    angles = ops.cast(places, dtype)[..., None] * ops.convert_to_tensor(theta, dtype)
    if len(angles.shape) == 3:  # one axis more, for the heads
        angles = ops.expand_dims(angles, 1)
    cos, sin = ops.cos(angles), ops.sin(angles)
    one, two = ops.split(ops.cast(x, dtype), 2, axis=-1)
    turned = ops.concatenate([one * cos - two * sin, one * sin + two * cos], axis=-1)
    return ops.cast(turned, x.dtype)


def check_even(head_dim: int) -> None:
    """Raise a ValueError unless the features of a head can be paired."""
    if head_dim % 2:
        raise ValueError(
            "rotary needs an even number of features in each head, embed_dim / "
            f"num_heads. Received: {head_dim}"
        )
