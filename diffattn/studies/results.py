"""Results: what is kept of a study's runs, one small JSON file each."""

import json
import os
from collections.abc import Sequence
from dataclasses import asdict, replace
from operator import itemgetter
from pathlib import Path

from diffattn.errors import ResultError
from diffattn.names import METRICS, MODEL_TYPES
from diffattn.training.config import Config


def result_path(config: Config, folder: str | os.PathLike) -> Path:
    """The file in a folder that keeps a run's result.

    Args:
        config: the run's.
        folder: the folder.

    Returns:
        The `pathlib.Path`, as FOLDER/TYPE-seed-N.json.
    """
    name = config.label.replace(" + ", "-with-")
    return Path(folder) / f"{name}-seed-{config.seed}.json"


def read_results(folder: str | os.PathLike) -> dict[str, list[dict]]:
    """The results in a folder, by what was trained and by seed.

    Args:
        folder: where `run_grid` has written them.

    Returns:
        A dict from `Config.label`, in the order of `MODEL_TYPES`, to a list of the
        results' dicts (``config``, ``history``, ``metrics``, ``provenance``; or
        ``config``, ``error`` and ``provenance``), by seed.

    Raises:
        ResultError: if a file is no result, or if they cannot be compared.
    """

    def place(item):
        config, _ = item
        of_type = MODEL_TYPES.index(config.attention_type)
        return config.positional_encoding, of_type, config.seed

    found = sorted(map(read_result, Path(folder).glob("*.json")), key=place)
    check_alike([config for config, _ in found], folder)
    results = {}
    for config, result in found:
        results.setdefault(config.label, []).append(result)
    return results


def check_alike(configs: Sequence[Config], folder: str | os.PathLike) -> None:
    """See that runs differ in nothing but what is compared, and the seed.

    Args:
        configs: the runs'.
        folder: the folder of their results.

    Raises:
        ResultError: if two of them have other settings.
    """
    settings = [
        replace(config, attention_type="none", positional_encoding=False, seed=0)
        for config in configs
    ]
    for other in settings[1:]:
        if differing := differences(settings[0], other):
            raise ResultError(
                f"{folder} has runs of different settings ({differing}), which no "
                "table can compare: give each a folder of its own"
            )


def differences(one: Config, other: Config) -> str:
    """In which settings two configurations differ, as text; empty if in none."""
    wanted = asdict(other)
    return "; ".join(
        f"{name}={value!r}, not {wanted[name]!r}"
        for name, value in asdict(one).items()
        if value != wanted[name]
    )


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

    Args:
        path: the file's.

    Returns:
        (config, result), the result as in `read_results`.

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
