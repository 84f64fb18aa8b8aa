"""What a data set is to a training: a name, a loader, and the settings that fit it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib import import_module
from typing import TYPE_CHECKING

from diffattn.errors import DataError
from diffattn.files import expand

if TYPE_CHECKING:
    from diffattn.data.reviews import ReviewData
    from diffattn.training.config import Config


@dataclass(frozen=True)
class Dataset:
    """An entry of `diffattn.data.DATASETS`.

    Attributes:
        name: what ``data=`` and ``--data`` call it.
        help: a few words for the command line's help.
        load: function (`Config`, progress: bool) → `ReviewData`, or the place of one
            as "module:function", which is imported when it is needed.
        settings: of `Config`, where another value than the documented one fits.
        check: function of a `Config` that raises a ValueError where its settings
            don't fit the data, or None.
        task: a key of `diffattn.training.task.TASKS`: what the labels mean.
    """

    name: str
    help: str
    load: "Callable[[Config, bool], ReviewData] | str"
    settings: Mapping[str, object] = field(default_factory=dict)
    check: "Callable[[Config], None] | None" = None
    task: str = "sentiment"


def load_data(config: "Config", progress: bool = False) -> "ReviewData":
    """Load the texts that a configuration names, split as it says.

    Args:
        config: a `Config`.
        progress: whether to show how far it is.

    Returns:
        A `diffattn.data.reviews.ReviewData`.

    Raises:
        DataError: if they are missing or damaged.
    """
    load = get_dataset(config.data).load
    if isinstance(load, str):
        module, function = load.split(":")
        load = getattr(import_module(module), function)
    return load(config, progress)


def check_at_rest(config: "Config") -> None:
    """Check that data which a stored configuration names are a folder or a file.

    Whoever gives a pipe on the command line means it. A run of somebody else that names
    one, or a terminal, would wait for ever.

    Raises:
        DataError: if its path is something else.
    """
    from diffattn.data import DATASETS

    if config.data in DATASETS:
        return
    path = expand(config.data)
    if path.exists() and not (path.is_dir() or path.is_file()):
        raise DataError(f"the run's data, {path}, are neither a folder nor a file")


def get_dataset(data: str) -> Dataset:
    """Return the entry of that name; anything else is the path of a copy of IMDB."""
    from diffattn.data import DATASETS

    return DATASETS.get(data) or DATASETS["imdb"]
