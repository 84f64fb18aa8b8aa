"""Check arguments before any work: each error names the argument and the value."""

import math
import numbers
from collections.abc import Iterable
from typing import Any


def check_choice(name: str, value: Any, choices: Iterable) -> None:
    """Raise a ValueError that lists the choices unless `value` is one of them."""
    if value not in list(choices):  # a dict would need a hashable value
        listed = ", ".join(map(str, choices))
        raise ValueError(f"{name} must be one of {listed}. Received: {name}={value!r}")


def check_int(name: str, value: Any, low: int = 1, high: int = 2**63) -> None:
    """Raise a ValueError unless `value` is an integer in [low, high)."""
    is_int = isinstance(value, numbers.Integral) and not isinstance(value, bool)
    if not is_int or not low <= value < high:
        expected = "a positive integer" if low == 1 else f"an integer of at least {low}"
        expected += "" if high == 2**63 else f", below {high}"
        raise ValueError(f"{name} must be {expected}. Received: {name}={value!r}")


def check_number(
    name: str, value: Any, low: float = -math.inf, high: float = math.inf
) -> None:
    """Raise a ValueError unless `value` is a finite number in [low, high)."""
    is_number = isinstance(value, numbers.Real) and not isinstance(value, bool)
    if not is_number or not low <= value < high or not _is_finite(value):
        bounds = "" if math.isinf(low) else f", at least {low:g}"
        bounds += "" if math.isinf(high) else f" and below {high:g}"
        raise ValueError(
            f"{name} must be a finite number{bounds}. Received: {name}={value!r}"
        )


def _is_finite(value):
    try:
        return math.isfinite(value)
    except OverflowError:  # an int that no float can hold
        return False


def check_heads(embed_dim: Any, num_heads: Any) -> None:
    """Raise a ValueError unless `num_heads` heads share `embed_dim` evenly."""
    check_int("embed_dim", embed_dim)
    check_int("num_heads", num_heads)
    if embed_dim % num_heads:
        raise ValueError(
            "embed_dim must be divisible by num_heads. "
            f"Received: embed_dim={embed_dim}, num_heads={num_heads}"
        )


def check_scale(scale: Any) -> None:
    """Raise a ValueError unless `scale` is None or a finite number."""
    if scale is not None:
        check_number("scale", scale)


def check_seed(seed: Any) -> None:
    """Raise a ValueError unless `seed` is None or an integer in [0, 2**31)."""
    if seed is not None:
        check_int("seed", seed, 0, 2**31)


def check_validation_split(share: Any) -> None:
    """Raise a ValueError unless `share` is a number in (0, 1)."""
    check_number("validation_split", share, 0, 1)
    if share == 0:
        raise ValueError(
            "validation_split must be above 0: early stopping needs it. "
            f"Received: validation_split={share!r}"
        )
