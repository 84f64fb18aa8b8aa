"""Arguments checked before any work: each error names the argument and the value."""

import math
import numbers


def check_choice(name, value, choices):
    """Raise a ValueError that lists the choices unless `value` is one of them."""
    if value not in choices:
        raise ValueError(
            f"{name} must be one of {', '.join(choices)}. Received: {name}={value!r}"
        )


def check_positive_int(name, value):
    """Raise a ValueError unless `value` is an integer of at least 1."""
    is_int = isinstance(value, numbers.Integral) and not isinstance(value, bool)
    if not is_int or value < 1:
        raise ValueError(
            f"{name} must be a positive integer. Received: {name}={value!r}"
        )


def check_number(name, value, low=-math.inf, high=math.inf):
    """Raise a ValueError unless `value` is a finite number in [low, high)."""
    is_number = isinstance(value, numbers.Real) and not isinstance(value, bool)
    if not is_number or not math.isfinite(value) or not low <= value < high:
        bounds = "" if math.isinf(low) else f", at least {low:g}"
        bounds += "" if math.isinf(high) else f" and below {high:g}"
        raise ValueError(
            f"{name} must be a finite number{bounds}. Received: {name}={value!r}"
        )


def check_heads(embed_dim, num_heads):
    """Raise a ValueError unless `num_heads` heads share `embed_dim` evenly."""
    check_positive_int("embed_dim", embed_dim)
    check_positive_int("num_heads", num_heads)
    if embed_dim % num_heads:
        raise ValueError(
            "embed_dim must be divisible by num_heads. "
            f"Received: embed_dim={embed_dim}, num_heads={num_heads}"
        )
