"""Results: what is kept of a study's runs, one small JSON file each."""

import json
import os
from dataclasses import asdict
from operator import itemgetter
from pathlib import Path

from diffattn.checks import UserError
from diffattn.config import MODEL_TYPES, Config
from diffattn.published import METRICS


class ResultError(UserError):
    """A file is no result, or results do not belong together."""


def result_path(config: Config, folder: str | os.PathLike) -> Path:
    """The file in a folder that keeps a run's result."""
    name = config.label.replace(" + ", "-with-")
    return Path(folder) / f"{name}-seed-{config.seed}.json"


def check_folder(path: str | os.PathLike) -> None:
    """Before the work, see that a folder is there or can be made for what comes of it.

    Raises:
        UserError: if something else is in its place, or it may not be written.
    """
    path = Path(path)
    # A link to nothing is there too, and in the way.
    there = next(p for p in (path, *path.parents) if os.path.lexists(p))
    if not (there.is_dir() and os.access(there, os.W_OK)):
        raise UserError(
            f"cannot make the folder {path}: {there} is no folder that may be written"
        )


def read_results(folder: str | os.PathLike) -> dict[str, list[dict]]:
    """The results in a folder, by what was trained and by seed.

    Args:
        folder: where `run_grid` has written them.

    Returns:
        A dict from `Config.label`, in the order of `MODEL_TYPES`, to a list of the
        results' dicts (``config``, ``history``, ``metrics``, ``provenance``; or
        ``config``, ``error`` and ``provenance``), by seed.

    Raises:
        ResultError: if a file is no result.
    """

    def place(item):
        config, _ = item
        of_type = MODEL_TYPES.index(config.attention_type)
        return config.positional_encoding, of_type, config.seed

    results = {}
    for config, result in sorted(
        map(read_result, Path(folder).glob("*.json")), key=place
    ):
        results.setdefault(config.label, []).append(result)
    return results


def without_failed(results: dict[str, list[dict]]) -> dict[str, list[dict]]:
    """The results that have metrics, not an error.

    Args:
        results: as `read_results` gives them; what comes back is like it.
    """
    return {
        label: [result for result in found if "error" not in result]
        for label, found in results.items()
    }


def read_result(path: Path) -> tuple[Config, dict]:
    """One result, and before it the configuration that it was made with.

    Raises:
        ResultError: if the file is no result.
    """
    try:
        result = json.loads(path.read_text())
        config = Config(**result["config"])
        if "error" not in result:
            itemgetter(*METRICS)(result["metrics"])
    except KeyError as error:
        raise ResultError(f"{path} is not a result: it has no {error}") from error
    except (TypeError, ValueError) as error:
        raise ResultError(f"{path} is not a result: {error}") from error
    # Settings that are newer than the file have their defaults.
    return config, {**result, "config": asdict(config)}
