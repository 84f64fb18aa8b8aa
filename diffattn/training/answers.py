"""Which texts a classifier answered correctly, kept as a bit each."""

import base64
import binascii

import numpy as np

from diffattn.errors import UserError


def pack_right(right: np.ndarray) -> str:
    """Pack which items were right into a short string, as for a JSON file.

    Args:
        right: bool array of shape (N,).

    Returns:
        "N:…", the number of items and, in base64, a bit for each: 25,000 items take
        4,174 characters.

    Raises:
        ValueError: if `right` is not a vector of bools.
    """
    right = np.asarray(right)
    if right.ndim != 1 or right.dtype != bool:
        raise ValueError(
            "right must be a vector of bools. "
            f"Received: right of shape {right.shape} and dtype {right.dtype}"
        )
    return f"{len(right)}:{base64.b64encode(np.packbits(right).tobytes()).decode()}"


def unpack_right(packed: str) -> np.ndarray:
    """Unpack what `pack_right` packed.

    Args:
        packed: str.

    Returns:
        A bool array of shape (N,).

    Raises:
        UserError: if `packed` is damaged.
    """
    try:
        number, _, code = packed.partition(":")
        count, content = int(number), base64.b64decode(code, validate=True)
    except (AttributeError, ValueError, binascii.Error) as error:
        raise UserError(f"{packed!r:.40} is no packed list of answers") from error
    if count < 0 or len(content) != (count + 7) // 8:
        raise UserError(
            f"{packed!r:.40} is no packed list of answers: it has {len(content)} bytes "
            f"for {count} items"
        )
    return np.unpackbits(np.frombuffer(content, "uint8"), count=count).astype(bool)
