"""Lists of configurations that a study compares."""

from collections.abc import Iterable
from typing import Any

from diffattn.checks import check_int
from diffattn.names import MODEL_TYPES
from diffattn.training.config import Config


def grid(
    attention_types: Iterable[str] = MODEL_TYPES, seeds: int = 5, **settings: Any
) -> list[Config]:
    """List every attention type with every seed, all else being equal.

    Args:
        attention_types: of `MODEL_TYPES`, or registered ones.
        seeds: for the seeds 0 to seeds − 1.
        **settings: of `Config`.

    Returns:
        The list of `Config`, seed by seed: a grid that is stopped has compared all
        types with the seeds that it has done.

    Raises:
        ValueError: on a value out of its bounds.
    """
    attention_types = list(attention_types)
    check_int("seeds", seeds)
    return [
        Config(attention_type=attention_type, seed=seed, **settings)
        for seed in range(seeds)
        for attention_type in attention_types
    ]
