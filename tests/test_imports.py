"""What can be reached from `import diffattn` alone, each in a process of its own."""

import subprocess
import sys

import keras
import numpy as np
import pytest
import tensorflow as tf

import diffattn


def answer(program, *arguments):
    run = [sys.executable, "-c", program, *arguments]
    found = subprocess.run(run, capture_output=True, text=True)
    assert found.returncode == 0, found.stderr
    return found.stdout.split()


def test_importing_the_package_does_not_load_tensorflow():
    program = "import sys, diffattn; print('tensorflow' in sys.modules)"
    assert answer(program) == ["False"]


def test_modules_are_attributes():
    program = "import diffattn; print(diffattn.scores.score.__module__)"
    assert answer(program) == ["diffattn.attention.scores"]


@pytest.mark.parametrize("name", ["scroes", "_scores", "__main__"])
def test_what_there_is_not_is_an_attribute_error(name):
    with pytest.raises(AttributeError, match=f"'diffattn' has no attribute '{name}'"):
        getattr(diffattn, name)


LOAD = """
import sys, keras, tensorflow as tf
import diffattn.training.fit
model = keras.models.load_model(sys.argv[1])
print(float(model(tf.constant([["a good <b>film</b>"]]))[0, 0]))
"""


def test_a_model_that_reads_text_loads_as_documented(tmp_path):
    vectorizer = diffattn.make_vectorizer(["a good film", "a bad one"], 9, 5)
    classifier = diffattn.build_classifier(
        "differential",
        embed_dim=6,
        num_heads=2,
        vocabulary_size=9,
        sequence_length=5,
        mask_padding=True,
    )
    text = keras.Input((1,), dtype="string")
    model = keras.Model(text, classifier(vectorizer(text)))
    model.save(tmp_path / "model.keras")
    expected = model(tf.constant([["a good <b>film</b>"]]))[0, 0]
    (found,) = answer(LOAD, tmp_path / "model.keras")
    assert np.isclose(float(found), float(expected), atol=1e-6)
    assert "import diffattn.training.fit" in diffattn.__doc__
