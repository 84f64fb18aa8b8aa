"""Store the state of a training after each epoch, and restore it to resume."""

import math
import shutil
import zipfile
from contextlib import contextmanager
from pathlib import Path

import keras
import numpy as np

from diffattn.data.versions import STANDARDIZATION_VERSION, standardization_of
from diffattn.errors import DivergenceError, RunError
from diffattn.files import read_json, write_json


class Checkpoint(keras.callbacks.Callback):
    """Stores after every epoch what resuming needs, and restores it.

    Keras's BackupAndRestore (3.15.1) stores weights, optimizer and epoch. To end with
    the result of an uninterrupted training, resuming also needs the history, the state
    of the dropout's random numbers, and that of early stopping (the best weights so
    far, the epochs waited).

    Args:
        folder: where to store the state.
        stopping: the training's EarlyStopping, which comes first in the list of
            callbacks.
        data: the description of the `Tokenized` data. Resuming needs the same tokens.
    """

    def __init__(
        self, folder: Path, stopping: keras.callbacks.EarlyStopping, data: dict
    ):
        super().__init__()
        self.folder = folder
        self.stopping = stopping
        self.data = data
        self.epoch = 0
        self.stopped = False
        self.history: dict[str, list[float]] = {}
        self.stopping_state: dict = {}

    def load(self, model: keras.Model) -> None:
        """Restore the model's state after the last stored epoch, if there is one.

        Raises:
            RunError: if the stored state is damaged or comes from other tokens.
        """
        checkpoint = _last_checkpoint(self.folder)
        if checkpoint is None:
            return
        if other := other_tokens(self.folder, self.data):
            raise RunError(f"{self.folder} was started with {other}")
        with _report_damage(checkpoint):
            self._restore(model, checkpoint)

    def _restore(self, model, checkpoint):
        state = read_json(checkpoint / "state.json")
        values = _load_arrays(checkpoint / "variables.npz")
        for variable, value in zip(_variables(model), values, strict=True):
            variable.assign(value)
        best_weights = _load_arrays(checkpoint / "best.npz")
        self.epoch = state["epoch"]
        self.stopped = state["stopped"]
        self.history = state["history"]
        self.stopping_state = {**state["stopping"], "best_weights": best_weights}

    def on_train_begin(self, logs: dict | None = None) -> None:
        for name, value in self.stopping_state.items():
            setattr(self.stopping, name, value)

    def on_epoch_end(self, epoch: int, logs: dict | None = None) -> None:
        self.epoch = epoch + 1
        self.stopped = self.model.stop_training
        for metric, value in (logs or {}).items():
            if not math.isfinite(value):
                raise DivergenceError(
                    f"the training diverged: {metric} is {value} after epoch "
                    f"{self.epoch}; a smaller learning_rate may help"
                )
            self.history.setdefault(metric, []).append(float(value))
        self.stopping_state = {
            name: getattr(self.stopping, name)
            for name in ("wait", "best", "best_epoch", "stopped_epoch")
        }
        self._save()

    def _save(self):
        state = {
            "fingerprint": self.data["fingerprint"],
            "standardization": STANDARDIZATION_VERSION,
            "epoch": self.epoch,
            "stopped": self.stopped,
            "history": self.history,
            "stopping": self.stopping_state,
        }
        new = self.folder / "checkpoint.new"
        shutil.rmtree(new, ignore_errors=True)
        new.mkdir()
        np.savez(new / "variables.npz", *[v.numpy() for v in _variables(self.model)])
        np.savez(new / "best.npz", *(self.stopping.best_weights or []))
        write_json(new / "state.json", state)
        old = list(self.folder.glob("checkpoint-*[0-9]"))
        new.rename(self.folder / f"checkpoint-{self.epoch:06d}")
        for checkpoint in old:
            shutil.rmtree(checkpoint)


def other_tokens(folder: Path, data: dict) -> str:
    """Name the tokens that a training started with, if they differ from the data's.

    Args:
        folder: where a `Checkpoint` stores the training's state.
        data: the description of the `Tokenized` data.

    Returns:
        A phrase such as "other reviews"; "" if the tokens are the same, or if no epoch
        is stored.

    Raises:
        RunError: if the stored state is damaged.
    """
    checkpoint = _last_checkpoint(folder)
    if checkpoint is None:
        return ""
    with _report_damage(checkpoint):
        state = read_json(checkpoint / "state.json")
        if state["fingerprint"] != data["fingerprint"]:
            return "other reviews"
        version = standardization_of(data["name"], state)
    if version != STANDARDIZATION_VERSION:
        return f"standardization {version}, not the current {STANDARDIZATION_VERSION}"
    return ""


def _last_checkpoint(folder):
    return max(folder.glob("checkpoint-*[0-9]"), default=None)


@contextmanager
def _report_damage(checkpoint):
    """Turn the errors that a damaged checkpoint causes into a `RunError` naming it."""
    try:
        yield
    except (
        EOFError,
        FileNotFoundError,
        KeyError,
        RuntimeError,
        TypeError,
        ValueError,
        zipfile.BadZipFile,
    ) as error:
        raise RunError(
            f"{checkpoint} is damaged: {error}; delete it to start the run over"
        ) from error


def _variables(model):
    """List every variable that training changes, in a fixed order."""
    model.optimizer.build(model.trainable_variables)
    return [*model.variables, *model.optimizer.variables]


def _load_arrays(path):
    # np.load (NumPy 2.4.6) leaves a damaged file open if it opens the file itself.
    with open(path, "rb") as file, np.load(file) as arrays:
        return [arrays[name] for name in arrays.files]
