"""Results: what is kept of a study's runs, one small JSON file each."""

import json
import os
from collections.abc import Sequence
from dataclasses import asdict, replace
from operator import itemgetter
from pathlib import Path

from diffattn.checks import UserError
from diffattn.config import MODEL_TYPES, Config
from diffattn.files import expand, json_files
from diffattn.published import METRICS


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
    return expand(folder) / f"{name}-seed-{config.seed}.json"


def result_files(folder: str | os.PathLike) -> list[Path]:
    """List the JSON files in a folder of results.

    Args:
        folder: the folder.

    Returns:
        The paths, sorted; at least one.

    Raises:
        ResultError: if there is no such folder, or no JSON file in it.
    """
    folder = expand(folder)
    if not folder.is_dir():
        raise ResultError(f"there is no folder {folder}")
    if not (paths := json_files(folder)):
        raise ResultError(f"there are no results in {folder}")
    return paths


def project_results() -> Path:
    """Find this project's own results, which its chapters show.

    Returns:
        The `pathlib.Path` of the folder ``results``: beside the current folder, which
        is ``book`` when a chapter runs there, or beside the package, where that is
        imported from the repository.

    Raises:
        ResultError: if it is at neither place.
    """
    beside_package = Path(__file__).resolve().parents[1] / "results"
    for results in (Path("../results"), beside_package):
        if (results / "sample").is_dir():
            return results
    raise ResultError(
        "this project's results are not here: they come with its repository, so get "
        "all of that and run the chapter in its folder book, beside results"
    )


def read_results(folder: str | os.PathLike) -> dict[str, list[dict]]:
    """The results in a folder, by what was trained and by seed.

    Args:
        folder: where `run_grid` has written them. Files whose names begin with a dot
            are passed over.

    Returns:
        A dict from `Config.label`, in the order of `MODEL_TYPES`, to a list of the
        results' dicts (``config``, ``history``, ``metrics``, ``provenance``; or
        ``config``, ``error`` and ``provenance``), by seed.

    Raises:
        ResultError: if there is no such folder or no result in it, if a JSON file in
            it is no result, or if they cannot be compared.
    """

    def place(item):
        config, _ = item
        of_type = MODEL_TYPES.index(config.attention_type)
        return config.positional_encoding, of_type, config.seed

    found = sorted(map(read_result, result_files(folder)), key=place)
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
        ResultError: if the file is no result, or cannot be read.
    """
    path = expand(path)
    try:
        result = json.loads(path.read_text(encoding="utf-8"))
        config = Config(**result["config"])
        if "error" not in result:
            itemgetter(*METRICS)(result["metrics"])
    except OSError as error:  # a folder of that name, a link to nothing
        raise ResultError(f"{path} cannot be read: {error.strerror}") from error
    except KeyError as error:
        raise ResultError(f"{path} is not a result: it has no {error}") from error
    except (RecursionError, TypeError, ValueError) as error:
        raise ResultError(f"{path} is not a result: {error}") from error
    # Settings that are newer than the file have their defaults.
    return config, {**result, "config": asdict(config)}
