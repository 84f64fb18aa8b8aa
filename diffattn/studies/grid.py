"""Lists of configurations that a study compares."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import cached_property
from typing import Any

from diffattn.checks import check_int
from diffattn.names import MODEL_TYPES
from diffattn.studies.models import Model
from diffattn.training.config import Config

#: More would be a mistake: their list alone takes seconds.
_MOST_SEEDS = 10_001


def grid(
    models: Iterable[Model] = MODEL_TYPES,
    seeds: int = 5,
    *,
    first_seed: int = 0,
    **settings: Any,
) -> list[Config]:
    """List every model with every seed, all else being equal.

    Args:
        models: attention types, or for a model that takes several settings a mapping
            of these.
        seeds: how many.
        first_seed: the first of them.
        **settings: of `Config`, the same for all models.

    Returns:
        The list of `Config`, seed by seed: a grid that is stopped has compared all
        models with the seeds that it has done.

    Raises:
        ValueError: on a value out of its bounds.
    """
    check_int("seeds", seeds, high=_MOST_SEEDS)
    of_models = [
        {"attention_type": model} if isinstance(model, str) else model
        for model in models
    ]
    return [
        Config(seed=seed, **settings, **of_model)
        for seed in range(first_seed, first_seed + seeds)
        for of_model in of_models
    ]


class LazyGrids(Mapping[str, list[Config]]):
    """Grids by name, listed when somebody looks.

    To check a score's options takes Keras, which the command line's --help does not
    wait for.

    Args:
        make: function that returns the dict from a grid's name to its runs.
    """

    def __init__(self, make: Callable[[], dict[str, list[Config]]]):
        self._make = make

    @cached_property
    def _grids(self):
        return self._make()

    def __getitem__(self, name: str) -> list[Config]:
        return self._grids[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._grids)

    def __len__(self) -> int:
        return len(self._grids)
