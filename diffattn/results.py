"""Results: what is kept of a study's runs, one small JSON file each."""

import json
import os
from collections.abc import Iterable, Sequence
from dataclasses import asdict, replace
from operator import itemgetter
from pathlib import Path

from diffattn.checks import UserError
from diffattn.config import MODEL_TYPES, Config
from diffattn.published import METRICS
from diffattn.versions import standardization_of


class ResultError(UserError):
    """A file is no result, or results do not belong together."""


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
        ResultError: if a file is no result, if two are of the same run, or if they
            cannot be compared.
    """

    found = read_folder(folder)
    check_alike([config for config, _ in found], folder)
    check_standardization([version_of(result) for _, result in found], folder)
    results = {}
    for config, result in found:
        results.setdefault(config.label, []).append(result)
    return results


def read_folder(folder: str | os.PathLike) -> list[tuple[Config, dict]]:
    """Read all results in a folder, each run's once.

    Args:
        folder: where `run_grid` has written them.

    Returns:
        A list of (config, result) as `read_result` gives them, with and without
        positions, by type and by seed.

    Raises:
        ResultError: if a file is no result, or if two are of the same run.
    """
    found = {}
    for path in sorted(Path(folder).glob("*.json")):
        config, result = read_result(path)
        of_type = MODEL_TYPES.index(config.attention_type)
        place = config.positional_encoding, of_type, config.seed
        if place in found:
            raise ResultError(
                f"{found[place][0]} and {path} are both of {config.label}, seed "
                f"{config.seed}: one run would count twice"
            )
        found[place] = path, config, result
    return [(config, result) for _, (_, config, result) in sorted(found.items())]


def version_of(result: dict) -> int:
    """Return the version of the standardization behind a result.

    Args:
        result: as in `read_results`.
    """
    return standardization_of(result["config"]["data"], result.get("provenance", {}))


def check_standardization(versions: Iterable[int], folder: str | os.PathLike) -> None:
    """See that the texts of all runs went through the same standardization.

    Args:
        versions: of the standardization, one a run.
        folder: the folder of their results.

    Raises:
        ResultError: if they are not all the same.
    """
    different = sorted(set(versions))
    if len(different) > 1:
        listed = " and ".join(map(str, different))
        raise ResultError(
            f"{folder} has runs of standardizations {listed}, which give other tokens: "
            "give each a folder of its own"
        )


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
        result = json.loads(path.read_text(encoding="utf-8"))
        config = Config(**result["config"])
        if "error" not in result:
            itemgetter(*METRICS)(result["metrics"])
    except KeyError as error:
        raise ResultError(f"{path} is not a result: it has no {error}") from error
    except (TypeError, ValueError) as error:
        raise ResultError(f"{path} is not a result: {error}") from error
    # Settings that are newer than the file have their defaults.
    return config, {**result, "config": asdict(config)}
