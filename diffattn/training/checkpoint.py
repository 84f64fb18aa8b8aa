"""Store the state of a training after each epoch, and restore it to resume."""

import math
import re
import zipfile
from contextlib import contextmanager
from pathlib import Path

import keras
import numpy as np

from diffattn.checks import check_choice, check_int, check_number
from diffattn.data.versions import STANDARDIZATION_VERSION, standardization_of
from diffattn.errors import DivergenceError, RunError
from diffattn.files import delete, read_json, sync, write_json
from diffattn.training.document import check_history

#: What is stored of early stopping, besides the best weights.
_STOPPING = ("wait", "best", "best_epoch", "stopped_epoch")


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
        _check_state(state, _epoch_of(checkpoint))
        values = _load_arrays(checkpoint / "variables.npz")
        best_weights = _load_arrays(checkpoint / "best.npz")
        if self.stopping.restore_best_weights:
            _check_shapes(best_weights, model.weights)
        for variable, value in zip(_variables(model), values, strict=True):
            variable.assign(value)
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
        if self.history and self.history.keys() != (logs or {}).keys():
            raise RunError(
                f"{self.folder} is damaged: its history has {', '.join(self.history)}, "
                f"the training {', '.join(logs or {})}"
            )
        for metric, value in (logs or {}).items():
            if not math.isfinite(value):
                raise DivergenceError(
                    f"the training diverged: {metric} is {value} after epoch "
                    f"{self.epoch}; a smaller learning_rate may help"
                )
            self.history.setdefault(metric, []).append(float(value))
        self.stopping_state = {n: getattr(self.stopping, n) for n in _STOPPING}
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
        new = self.folder / _NEW
        delete(new)
        new.mkdir()
        np.savez(new / "variables.npz", *[v.numpy() for v in _variables(self.model)])
        np.savez(new / "best.npz", *(self.stopping.best_weights or []))
        for arrays in new.iterdir():  # or a power cut would lose them and the old ones
            sync(arrays)
        write_json(new / "state.json", state)
        old = _checkpoints(self.folder)
        new.rename(self.folder / f"checkpoint-{self.epoch:06d}")
        for checkpoint in old:
            delete(checkpoint)


def delete_checkpoints(folder: Path) -> None:
    """Delete what a `Checkpoint` has stored in a folder, and nothing else."""
    for checkpoint in [*_checkpoints(folder), folder / _NEW]:
        delete(checkpoint)


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


#: Where an epoch's state is until it is whole.
_NEW = "checkpoint.new"


def _checkpoints(folder):
    """List what is named like a checkpoint, and not "checkpoint-000001 2", a copy."""
    return [path for path in folder.glob("checkpoint-*") if _epoch_of(path)]


def _epoch_of(path):
    match = re.fullmatch(r"checkpoint-([0-9]{6,})", path.name)
    return int(match[1]) if match else 0


def _last_checkpoint(folder):
    return max(_checkpoints(folder), key=_epoch_of, default=None)


def _check_state(state, epoch):
    """Raise a ValueError unless this is the state after an epoch, of a whole run."""
    check_choice("epoch", state["epoch"], (epoch,))
    check_int("epoch", state["epoch"])
    check_choice("stopped", state["stopped"], (True, False))
    check_history(state["history"], epoch)
    stopping = state["stopping"]
    if sorted(stopping) != sorted(_STOPPING):
        raise ValueError(f"stopping must have {', '.join(_STOPPING)}")
    check_int("best_epoch", stopping["best_epoch"], 0, epoch)
    check_number("best", stopping["best"])
    # The rest follows from these: it is the state of a training that went so far.
    best_epoch = stopping["best_epoch"]
    check_choice("best", stopping["best"], (state["history"]["val_loss"][best_epoch],))
    check_choice("wait", stopping["wait"], (epoch - 1 - best_epoch,))
    stopped_epoch = epoch - 1 if state["stopped"] else 0
    check_choice("stopped_epoch", stopping["stopped_epoch"], (stopped_epoch,))


def _check_shapes(arrays, variables):
    shapes = [array.shape for array in arrays]
    wanted = [tuple(variable.shape) for variable in variables]
    if shapes != wanted:
        raise ValueError(f"best.npz has weights of shapes {shapes}, not {wanted}")


@contextmanager
def _report_damage(checkpoint):
    """Turn the errors that a damaged checkpoint causes into a `RunError` naming it."""
    try:
        yield
    except (
        AttributeError,
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
    except OSError as error:  # a folder of that name, a loop of links, no permission
        raise RunError(f"{checkpoint} cannot be read: {error}") from error


def _variables(model):
    """List every variable that training changes, in a fixed order."""
    model.optimizer.build(model.trainable_variables)
    return [*model.variables, *model.optimizer.variables]


def _load_arrays(path):
    # np.load (NumPy 2.4.6) leaves a damaged file open if it opens the file itself.
    with open(path, "rb") as file, np.load(file) as arrays:
        return [arrays[name] for name in arrays.files]
