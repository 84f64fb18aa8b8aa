import json
import os
import shutil
import signal
import subprocess
import sys

import keras
import numpy as np
import pytest
from training_case import SMALL, interrupt_before

from diffattn import Config, load_run, load_sample, train
from diffattn.data import sample
from diffattn.errors import RunError
from diffattn.files import hold
from diffattn.training import fit
from diffattn.training.checkpoint import Checkpoint, _check_state, _report_damage
from diffattn.training.fit import _make_classifier
from diffattn.training.tokens import tokenize

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("epoch", [0, 3])
def test_a_resumed_run_ends_with_the_same_result(epoch, run, tmp_path, monkeypatch):
    with monkeypatch.context() as patch:
        interrupt_before(epoch, patch)
        with pytest.raises(KeyboardInterrupt):
            train(output=tmp_path, verbose=0, **SMALL)
    (unfinished,) = tmp_path.iterdir()
    assert unfinished.name.endswith(".unfinished")
    with pytest.raises(RunError, match="is an unfinished run: resume it with"):
        load_run(unfinished)
    resumed = train(resume=unfinished, verbose=0)
    assert resumed.history == run.history
    assert resumed.metrics == run.metrics
    assert [p.name for p in tmp_path.iterdir()] == [resumed.path.name]


def test_an_interruption_after_the_last_epoch_loses_nothing(run, tmp_path, monkeypatch):
    def interrupt(*ignored):
        raise KeyboardInterrupt

    for settings in (SMALL, {**SMALL, "early_stopping": False, "epochs": 2}):
        with monkeypatch.context() as patch:
            patch.setattr(fit, "_measure", interrupt)
            with pytest.raises(KeyboardInterrupt):
                train(output=tmp_path, verbose=0, **settings)
        (unfinished,) = tmp_path.glob("*.unfinished")
        resumed = train(resume=unfinished, verbose=0)
        uninterrupted = (
            run if settings is SMALL else train(output=tmp_path, verbose=0, **settings)
        )
        assert resumed.metrics == uninterrupted.metrics


def test_resuming_refuses_other_reviews(tmp_path, monkeypatch):
    with monkeypatch.context() as patch:
        interrupt_before(1, patch)
        with pytest.raises(KeyboardInterrupt):
            train(output=tmp_path, verbose=0, attention_type="none")
    (unfinished,) = tmp_path.iterdir()
    monkeypatch.setattr(
        sample,
        "load_sample",
        lambda **options: load_sample(order_share=0.2, **options),
    )
    with pytest.raises(RunError, match="was started with other reviews"):
        train(resume=unfinished, verbose=0)


def test_resuming_refuses_another_standardization(tmp_path, monkeypatch, small_imdb):
    """The sample is resumed all the same: its tokens are equal in both versions."""
    for source in (small_imdb, "sample"):
        settings = {"data": source, "attention_type": "none", "embed_dim": 8}
        with monkeypatch.context() as patch:
            interrupt_before(1, patch)
            with pytest.raises(KeyboardInterrupt):
                train(output=tmp_path, verbose=0, **settings)
        (unfinished,) = tmp_path.glob("*.unfinished")
        path = unfinished / "checkpoint-000001" / "state.json"
        state = json.loads(path.read_text())
        assert state.pop("standardization") == 2
        path.write_text(json.dumps(state))  # as version 1 wrote it
        if source == "sample":
            assert train(resume=unfinished, verbose=0).metrics["epochs"] > 1
        else:
            with pytest.raises(RunError, match="with standardization 1, not the curr"):
                train(resume=unfinished, verbose=0)
            shutil.rmtree(unfinished)


@pytest.fixture(scope="module")
def begun(tmp_path_factory):
    """An unfinished run after two of its epochs, which the tests copy."""
    output = tmp_path_factory.mktemp("begun")
    with pytest.MonkeyPatch.context() as patch:
        interrupt_before(2, patch)
        with pytest.raises(KeyboardInterrupt):
            train(output=output, verbose=0, attention_type="none", epochs=3)
    (unfinished,) = output.iterdir()
    return unfinished


@pytest.fixture
def unfinished(begun, tmp_path):
    return shutil.copytree(begun, tmp_path / "a.unfinished")


def changed(state, path, value):
    *parents, name = path.split(".")
    for parent in parents:
        state = state[parent]
    state[name] = value


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("epoch", "2"),
        ("epoch", 2.5),
        ("epoch", -1),
        ("epoch", 1),
        ("epoch", True),
        ("epoch", 2.0),
        ("stopped", "no"),
        ("stopped", True),  # it has not: this would end the training early
        ("history", {}),
        ("history", []),
        ("history", None),
        ("history.loss", [0.5]),
        ("history.loss", [0.5, "0.5"]),
        ("history.val_loss", [0.5, float("nan")]),
        ("stopping", None),
        ("stopping", []),
        ("stopping", {}),
        ("stopping.patience", 1000),  # would be set on the callback
        ("stopping.wait", "0"),
        ("stopping.wait", -9),
        ("stopping.best", -1.0),  # nothing would ever be better
        ("stopping.best", None),
        ("stopping.best_epoch", 7),
        ("stopping.best_epoch", 0.0),
        ("stopping.stopped_epoch", 1),
    ],
)
def test_a_state_that_no_training_has_is_refused(path, value, begun):
    file = begun / "checkpoint-000002" / "state.json"
    state = json.loads(file.read_text())
    _check_state(state, 2)
    changed(state, path, value)
    with pytest.raises(RunError, match="is damaged: "), _report_damage(file.parent):
        _check_state(state, 2)


@pytest.fixture(scope="module")
def load():
    """Load a folder's checkpoint into a model like the one it was stored from."""
    config = Config(attention_type="none")
    data = tokenize(config)
    stopping = keras.callbacks.EarlyStopping(restore_best_weights=True)

    def load_into_a_new_model(folder):
        model = _make_classifier(config, data)
        Checkpoint(folder, stopping, data.description).load(model)

    return load_into_a_new_model


def test_damage_that_is_no_truncation_is_named(load, unfinished):
    load(unfinished)
    checkpoint = unfinished / "checkpoint-000002"
    whole = shutil.copytree(checkpoint, unfinished / "copy")
    for content in ("[]", "null", "[" * 10**5):
        (checkpoint / "state.json").write_text(content)
        with pytest.raises(RunError, match="checkpoint-000002 is damaged: "):
            load(unfinished)
    shutil.copy(whole / "state.json", checkpoint)
    np.savez(checkpoint / "best.npz", np.zeros(3))
    with pytest.raises(RunError, match=r"is damaged: best\.npz has weights of shapes"):
        load(unfinished)
    shutil.copy(whole / "best.npz", checkpoint)
    for name in ("best.npz", "variables.npz", "state.json"):
        (checkpoint / name).unlink()
        (checkpoint / name).mkdir()
        with pytest.raises(RunError, match=r"000002 (is damaged|cannot be read): "):
            load(unfinished)
        (checkpoint / name).rmdir()
        shutil.copy(whole / name, checkpoint)
    shutil.rmtree(checkpoint)
    checkpoint.touch()
    with pytest.raises(RunError, match="checkpoint-000002 is damaged: "):
        load(unfinished)


def test_a_history_of_other_metrics_is_refused(unfinished):
    file = unfinished / "checkpoint-000002" / "state.json"
    state = json.loads(file.read_text())
    state["history"]["speed"] = [0.5, 0.5]
    file.write_text(json.dumps(state))
    with pytest.raises(RunError, match=r"its history has .*speed, the training "):
        train(resume=unfinished, verbose=0)


def test_what_others_leave_beside_the_checkpoints_stays_and_does_no_harm(unfinished):
    """Such as the copies that a Mac makes; and the half of a checkpoint of our own."""
    shutil.copytree(
        unfinished / "checkpoint-000002", unfinished / "checkpoint-000002 2"
    )
    (unfinished / "checkpoints.txt").touch()
    (unfinished / "checkpoint-000001 2").touch()
    (unfinished / "checkpoint.new").touch()  # where a folder is to be
    run = train(resume=unfinished, verbose=0)
    names = {path.name for path in run.path.iterdir() if "checkpoint" in path.name}
    assert names == {"checkpoint-000002 2", "checkpoints.txt", "checkpoint-000001 2"}
    assert run.metrics["epochs"] == 3


RESUME = """
import sys
from diffattn.files import hold
from pathlib import Path
with hold(Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""


@pytest.mark.skipif(os.name != "posix", reason="other systems have no such locks")
def test_a_run_is_trained_by_one_process_at_a_time(unfinished):
    """And a process that is killed leaves no lock behind."""
    command = [sys.executable, "-c", RESUME, unfinished]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    before = sorted(unfinished.rglob("*"))
    with subprocess.Popen(command, **pipes) as other:
        assert other.stdout.readline() == b"held\n"
        with pytest.raises(RunError, match=r"a\.unfinished is in use: another proc"):
            train(resume=unfinished, verbose=0)
        assert sorted(unfinished.rglob("*")) == before
        other.send_signal(signal.SIGKILL)
    assert train(resume=unfinished, verbose=0).metrics["epochs"] == 3


@pytest.mark.skipif(os.name != "posix", reason="other systems have no such locks")
def test_a_training_holds_its_run_until_it_ends(tmp_path, monkeypatch):
    """A second one, at whatever moment, gets the error and changes nothing."""

    def second(epoch, logs):
        (unfinished,) = tmp_path.iterdir()
        with pytest.raises(RunError, match="is in use: another process"):
            train(resume=unfinished, verbose=0)

    fit_as_before = keras.Model.fit

    def fit_with_a_second(self, *args, callbacks, **kwargs):
        callback = keras.callbacks.LambdaCallback(on_epoch_end=second)
        return fit_as_before(self, *args, callbacks=[*callbacks, callback], **kwargs)

    monkeypatch.setattr(keras.Model, "fit", fit_with_a_second)
    run = train(output=tmp_path, verbose=0, attention_type="none", epochs=2)
    assert run.metrics["epochs"] == 2
    with hold(run.path):  # nobody holds it any more
        pass
