"""Many runs, on this machine or on many, each kept as one small JSON file."""

import os
import shutil
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import CancelledError
from dataclasses import asdict
from functools import lru_cache
from pathlib import Path
from threading import Lock

import tensorflow as tf
from tqdm import tqdm
from tqdm.keras import TqdmCallback

from diffattn.data.versions import STANDARDIZATION_VERSION
from diffattn.errors import DivergenceError, ResultError
from diffattn.files import check_folder, delete, expand, hold, read_json, write_json
from diffattn.studies.results import (
    check_alike,
    check_standardization,
    differences,
    read_folder,
    read_result,
    result_path,
    version_of,
)
from diffattn.training.checkpoint import other_tokens
from diffattn.training.config import Config
from diffattn.training.fit import fit_and_evaluate, origin_of
from diffattn.training.run import UNFINISHED
from diffattn.training.tokens import tokenize

#: Two trainings in one process would share its threads and memory.
_ONE_AT_A_TIME = Lock()

#: What comes of the run's own settings, and would come of them again.
_OF_THE_RUN = (DivergenceError, MemoryError, tf.errors.ResourceExhaustedError)


def run_grid(
    configs: Sequence[Config],
    folder: str | os.PathLike,
    *,
    cluster: str | None = None,
    progress: bool = True,
) -> None:
    """Train all runs that a folder of results lacks, and write each result at once.

    What is there already is not trained again, and a run that was interrupted goes
    on after the last epoch that it finished. A run that diverges, needs more memory
    than there is, or whose workers die is kept as a result with an ``error`` in it; it
    is tried again once its file is deleted. Any other error ends the grid, and the
    same call goes on.

    Args:
        configs: the runs, as `diffattn.studies.grid.grid` lists them.
        folder: where the results are, one file TYPE-seed-N.json each.
        cluster: None to train here, one after the other, or the address of a
            `dask.distributed` scheduler, to train on its workers. They need this
            package and the data.
        progress: bool, whether to show how far it is.

    Raises:
        ResultError: if a result in the folder comes from other settings or another
            standardization or is there twice, if two runs would have the same file, if
            `distributed` is missing, if the scheduler does not answer any more, or if a
            file cannot be written or read.
        UserError: if the folder cannot be made.
        diffattn.errors.DataError: if the data are missing or damaged.
        diffattn.errors.RunError: if what is kept of an unfinished run is damaged, or
            another process trains one of the runs.
    """
    folder = expand(folder)
    _check_distinct(configs, folder)
    done = {config for config in configs if _is_finished(config, folder)}
    for config in done:  # killed between writing the one and deleting the other
        shutil.rmtree(_unfinished(result_path(config, folder)), ignore_errors=True)
    missing = [config for config in configs if config not in done]
    if not missing:
        return
    finished = read_folder(folder)
    check_alike([*(config for config, _ in finished), *configs], folder)
    versions = [version_of(config, result) for config, result in finished]
    check_standardization([*versions, STANDARDIZATION_VERSION], folder)
    check_folder(folder)
    trained = (
        _run_locally(missing, folder, progress)
        if cluster is None
        else _run_on_cluster(cluster, missing)
    )
    bar = tqdm(
        trained,
        desc=folder.name,
        total=len(configs),
        initial=len(configs) - len(missing),
        unit="run",
        disable=not progress,
        delay=1,  # a mistake is told at once, and alone
        # In a log file, every line stays.
        mininterval=0.1 if sys.stderr.isatty() else 60,
    )
    try:
        for config, result in bar:
            path = result_path(config, folder)
            folder.mkdir(parents=True, exist_ok=True)
            write_json(path, result)
            shutil.rmtree(_unfinished(path), ignore_errors=True)
    except OSError as error:  # a full disk
        raise ResultError(
            f"{folder} is not complete: {error}; what was done is kept"
        ) from error


def _check_distinct(configs, folder):
    """Check that no two runs have one file: one would be trained for nothing."""
    paths = Counter(result_path(config, folder) for config in configs)
    for path, count in paths.items():
        if count > 1:
            raise ResultError(
                f"{count} of the runs would be kept as {path}: give each a folder of "
                "its own, or name it once"
            )


def _is_finished(config, folder):
    """Tell whether a run has a result, and check that it is the run's own."""
    path = result_path(config, folder)
    if not path.exists():
        return False
    if differing := differences(read_result(path)[0], config):
        raise ResultError(
            f"{path} was made with other settings ({differing}): give another folder"
        )
    return True


def _unfinished(path):
    """Return the folder that holds a run until its result is written."""
    return path.with_name(path.stem + UNFINISHED)


def _run_locally(
    configs: Sequence[Config], folder: Path, progress: bool
) -> Iterator[tuple[Config, dict]]:
    """Train one after the other, each in a folder that outlives an interruption."""
    for config in configs:
        path = result_path(config, folder)
        epochs = TqdmCallback(
            config.epochs,
            desc=path.stem,
            verbose=0,
            leave=False,
            disable=None if progress else True,
        )
        yield config, train_one(config, _unfinished(path), [epochs])


def train_one(config: Config, folder: Path, callbacks: Sequence = ()) -> dict:
    """Train as configured, or go on with what the folder holds.

    Args:
        config: a `Config`.
        folder: where the state after each epoch is kept.
        callbacks: a list of `keras.callbacks.Callback`.

    Returns:
        The result, as `diffattn.studies.results.read_result` returns it.

    Raises:
        OSError: if a file cannot be written or read.
        diffattn.errors.DataError: if the data are missing or damaged.
        diffattn.errors.RunError: if what the folder holds is damaged, or another
            process trains there.
    """
    folder = expand(folder)
    document = {"config": asdict(config)}
    with _ONE_AT_A_TIME:
        try:
            data = _tokenized(config.for_data())
            folder.mkdir(parents=True, exist_ok=True)
            with hold(folder):
                _make_ready(folder, document, data.description)
                _, result = fit_and_evaluate(
                    config, data, folder, callbacks=callbacks, verbose=0
                )
        except _OF_THE_RUN as error:
            return _failed(config, error)
    return document | result


def _make_ready(folder, document, data):
    """Empty the folder if it is another run's: of other settings or other tokens."""
    path = folder / "run.json"
    if path.exists() and (
        _settings(read_json(path)) != _settings(document) or other_tokens(folder, data)
    ):
        # The settings last: without them, the rest would pass for this run's.
        for part in [*(p for p in folder.iterdir() if p != path), path]:
            delete(part)
    write_json(path, document)


def _settings(document):
    """The `Config` of a document: what is newer than it has its default, as then."""
    try:
        return Config(**document["config"])
    except (KeyError, TypeError, ValueError):
        return None


@lru_cache(maxsize=1)
def _tokenized(config):
    """Tokenize the data, and keep them for the next run, which often has the same."""
    return tokenize(config)


def _failed(config, error):
    """Make the result of a run that failed: it says why."""
    return {
        "config": asdict(config),
        "error": f"{type(error).__name__}: {error}",
        "provenance": origin_of(config),
    }


def _train_anywhere(config):
    with tempfile.TemporaryDirectory() as folder:
        return train_one(config, Path(folder) / "run")


def _run_on_cluster(
    address: str, configs: Sequence[Config]
) -> Iterator[tuple[Config, dict]]:
    """Train on a cluster's workers, in any order; a lost worker's runs go to others."""
    try:
        from distributed import Client, KilledWorker, as_completed
    except ImportError as error:
        raise ResultError(
            "--cluster needs distributed: pip install distributed"
        ) from error
    try:
        client = Client(address)
    except (OSError, ValueError) as error:
        raise ResultError(f"no scheduler answers at {address}: {error}") from error
    with client:
        futures = {
            client.submit(_train_anywhere, config, pure=False): config
            for config in configs
        }
        for future in as_completed(futures):
            config = futures[future]
            try:
                yield config, future.result()
            except KilledWorker as error:
                yield config, _failed(config, error)
            except CancelledError as error:  # the scheduler took all its runs with it
                raise ResultError(
                    f"the scheduler at {address} does not answer any more; what was "
                    "done is kept"
                ) from error
