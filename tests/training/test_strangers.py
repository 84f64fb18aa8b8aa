"""Files from strangers: whatever they carry, nothing of it runs."""

import os
import shutil

import keras
import numpy as np
import pytest
from training_case import interrupt_before

from diffattn import load_run, train
from diffattn.errors import RunError

pytestmark = pytest.mark.slow


class Touches:
    """An object whose pickle makes a file when it is read."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


def test_a_model_that_carries_code_is_refused_and_the_code_does_not_run(run, tmp_path):
    proof = str(tmp_path / "proof")

    # Only a lambda is stored as code; a function is stored by its name.
    touch = lambda x: (__import__("os").makedirs(proof, exist_ok=True), x)[1]  # noqa: E731
    text = keras.Input((), dtype="string")
    folder = shutil.copytree(run.path, tmp_path / "run")
    lambdas = keras.layers.Lambda(touch, output_shape=())
    keras.Model(text, lambdas(text)).save(folder / "model.keras")
    shutil.rmtree(proof, ignore_errors=True)
    with pytest.raises(RunError, match=r"model\.keras cannot be loaded: "):
        load_run(folder)
    assert not os.path.exists(proof)
    # Outside Keras's safe mode, it would have.
    model = keras.models.load_model(folder / "model.keras", safe_mode=False)
    model.layers[-1].function(np.zeros(1))
    assert os.path.exists(proof)


@pytest.mark.parametrize("name", ["best.npz", "variables.npz"])
def test_a_pickle_in_a_checkpoint_is_refused_and_does_not_run(
    name, tmp_path, monkeypatch
):
    proof = tmp_path / "proof"
    with monkeypatch.context() as patch:
        interrupt_before(1, patch)
        with pytest.raises(KeyboardInterrupt):
            train(output=tmp_path, verbose=0, attention_type="none", epochs=2)
    (unfinished,) = tmp_path.iterdir()
    file = unfinished / "checkpoint-000001" / name
    names = np.load(file).files
    pickled = np.empty(1, object)
    pickled[0] = Touches(proof)
    np.savez(file, **dict.fromkeys(names, pickled))
    with pytest.raises(RunError, match=r"checkpoint-000001 is damaged: .*pickle"):
        train(resume=unfinished, verbose=0)
    assert not proof.exists()
    np.load(file, allow_pickle=True)[names[0]]
    assert proof.exists()
