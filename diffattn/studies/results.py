"""Results: what is kept of a study's runs, one small JSON file each."""

import json
import math
import os
from collections.abc import Iterable, Sequence
from dataclasses import asdict, replace
from pathlib import Path

import pandas as pd

from diffattn.checks import check_number
from diffattn.data.versions import standardization_of
from diffattn.errors import ResultError
from diffattn.files import MOST_JSON, expand, json_files, read_file
from diffattn.names import BASELINE, KEPT, METRICS, MODEL_TYPES
from diffattn.studies import STUDIES
from diffattn.studies.models import file_name
from diffattn.training.config import MODEL_SETTINGS, Config
from diffattn.training.document import check_document


def result_path(config: Config, folder: str | os.PathLike) -> Path:
    """Return the file in a folder that keeps a run's result.

    Args:
        config: the run's.
        folder: the folder.

    Returns:
        The `pathlib.Path`, as FOLDER/TYPE-seed-N.json. Its name has letters, digits
        and "_.-" alone, which no shell takes for its own signs.
    """
    return expand(folder) / f"{file_name(config.label)}-seed-{config.seed}.json"


def project_results() -> Path:
    """Find this project's own results, which its chapters show.

    Returns:
        The path of the folder ``results``: beside the current folder, which is ``book``
        when a chapter runs there, or beside the package, where that is imported from
        the repository.

    Raises:
        ResultError: if it is at neither place.
    """
    beside_package = Path(__file__).resolve().parents[2] / "results"
    for results in (Path("../results"), beside_package):
        if (results / "sample").is_dir():
            return results
    raise ResultError(
        "this project's results are not here: they come with its repository, so get "
        "all of that and run the chapter in its folder book, beside results"
    )


def read_results(folder: str | os.PathLike) -> pd.DataFrame:
    """Read the results in a folder into one frame, a row for each run.

    Args:
        folder: where `diffattn.studies.runner.run_grid` has written them, or a folder
            with the folders of `diffattn.studies.STUDIES` in it. Files whose names
            begin with a dot are passed over.

    Returns:
        A `pandas.DataFrame`, by grid, model and seed, with the columns

        * ``study`` and ``grid``: their names; for results that lie in the folder
          itself, "" and the folder's name;
        * ``label`` (`Config.label`), the
          `diffattn.training.config.MODEL_SETTINGS` that it says, and ``seed``;
        * the `diffattn.names.METRICS`, ``epochs`` (trained) and ``kept_epoch`` (whose
          weights were measured, counted from 1); missing where the run failed;
        * ``standardization``: the version that the run's texts went through;
        * ``error``: why it failed, as text; missing where it did not;
        * ``config`` (the `Config`), ``history`` (a dict from metric to a list with one
          number an epoch) and ``provenance`` (a dict);
        * the `diffattn.names.KEPT` (dicts), missing where there is none of it.

    Raises:
        ResultError: if there is no such folder or no result in it, if a JSON file in it
            is no result, if two are of the same run, or if the results in a folder
            cannot be compared.
    """
    folder = expand(folder)
    if not folder.is_dir():
        raise ResultError(f"there is no folder {folder}")
    if json_files(folder):
        rows = _read_grid(folder, study="", grid=folder.resolve().name)
    else:
        rows = [
            row
            for study in STUDIES.values()
            for grid in study.grids
            for row in _read_grid(folder / grid, study.name, grid)
        ]
    if not rows:
        raise ResultError(f"there are no results in {folder}")
    return pd.DataFrame(rows).astype({"epochs": "Int64", "kept_epoch": "Int64"})


def _read_grid(folder, study, grid):
    """Read the rows of one grid's results, in the order that tables have."""
    found = read_folder(folder)
    check_alike([config for config, _ in found], folder)
    check_standardization([version_of(*item) for item in found], folder)
    return [
        {"study": study, "grid": grid, **_row(config, result)}
        for config, result in found
    ]


def read_folder(folder: str | os.PathLike) -> list[tuple[Config, dict]]:
    """Read all results in a folder, each run's once, in the order that tables have.

    Args:
        folder: the folder.

    Returns:
        A list of (config, result) as `read_result` gives them.

    Raises:
        ResultError: if a file is no result, or if two are of the same run.
    """
    items: dict[tuple, tuple] = {}
    for path in json_files(folder):
        config, result = read_result(path)
        place = _place(config)
        if place in items:
            raise ResultError(
                f"{items[place][0]} and {path} are both of {config.label}, seed "
                f"{config.seed}: one run would count twice"
            )
        items[place] = path, config, result
    return [(config, result) for _, (_, config, result) in sorted(items.items())]


def version_of(config: Config, result: dict) -> int:
    """Return the version of the standardization that a result's texts went through."""
    return standardization_of(config.data, result.get("provenance") or {})


def check_standardization(versions: Iterable[int], folder: str | os.PathLike) -> None:
    """Check that the texts of all runs went through the same standardization.

    Args:
        versions: of the standardization, one for each run.
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


def _place(config):
    """Return the key to sort by: models as in `MODEL_TYPES`, new ones behind, seeds.

    What comes with the attention counts first, so that models with it are together.
    """
    options = [getattr(config, n) for n in MODEL_SETTINGS if n != "attention_type"]
    name = config.attention_type
    place = [*MODEL_TYPES, name].index(name)
    return *options, place, name, config.seed


def _row(config, result):
    metrics = result.get("metrics", {})
    return {
        "label": config.label,
        **{name: getattr(config, name) for name in MODEL_SETTINGS},
        "seed": config.seed,
        **{metric: metrics.get(metric, math.nan) for metric in METRICS},
        "epochs": metrics.get("epochs"),
        "kept_epoch": metrics.get("kept_epoch"),
        "standardization": version_of(config, result),
        "error": result.get("error"),
        "config": config,
        "history": result.get("history"),
        "provenance": result.get("provenance"),
        **{part: result.get(part) for part in KEPT},
    }


def check_alike(configs: Sequence[Config], folder: str | os.PathLike) -> None:
    """Check that runs differ in nothing but what is compared, and the seed.

    Args:
        configs: the runs'.
        folder: the folder of their results.

    Raises:
        ResultError: if two of them have other settings.
    """
    plain = Config(attention_type=BASELINE)
    model = {name: getattr(plain, name) for name in MODEL_SETTINGS}
    settings = [replace(config, **model, seed=0) for config in configs]
    for other in settings[1:]:
        if differing := differences(settings[0], other):
            raise ResultError(
                f"{folder} has runs of different settings ({differing}), which no "
                "table can compare: give each a folder of its own"
            )


def differences(one: Config, other: Config) -> str:
    """Say in which settings two configurations differ; the text is empty if in none."""
    wanted = asdict(other)
    return "; ".join(
        f"{name}={value!r}, not {wanted[name]!r}"
        for name, value in asdict(one).items()
        if value != wanted[name]
    )


def read_result(path: Path) -> tuple[Config, dict]:
    """Read one result.

    Args:
        path: the file's.

    Returns:
        (config, result): the `Config` that the run was made with, and the file's dict
        of ``config``, ``history``, ``metrics`` and ``provenance``, or of ``config``,
        ``error`` and ``provenance``. Settings that are newer than the file have their
        defaults.

    Raises:
        ResultError: if the file is no result, or cannot be read.
    """
    path = expand(path)
    try:
        result = json.loads(read_file(path, MOST_JSON).decode("utf-8"))
        config = Config(**result["config"])
        check_document(result)
        if "error" not in result:
            for metric in METRICS:
                check_number(metric, result["metrics"][metric])
        elif not isinstance(result["error"], str):
            raise TypeError(f"error must be text. Received: {result['error']!r}")
    except OSError as error:  # a folder of that name, a link to nothing
        raise ResultError(f"{path} cannot be read: {error.strerror}") from error
    except KeyError as error:
        raise ResultError(f"{path} is not a result: it has no {error}") from error
    except (AttributeError, RecursionError, TypeError, ValueError) as error:
        raise ResultError(f"{path} is not a result: {error}") from error
    return config, {**result, "config": asdict(config)}
