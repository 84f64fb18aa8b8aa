"""What can be reached from `import diffattn` alone, each in a process of its own."""

import shutil

import keras
import pytest
import tensorflow as tf
from tools import answer

import diffattn
from diffattn.registration import LAYERS


def test_importing_the_package_does_not_load_tensorflow():
    program = "import sys, diffattn; print('tensorflow' in sys.modules)"
    assert answer(program) == ["False"]


def test_modules_are_attributes():
    program = "import diffattn; print(diffattn.scores.score.__module__)"
    assert answer(program) == ["diffattn.scores"]


@pytest.mark.parametrize("name", ["scroes", "_scores", "__main__"])
def test_what_there_is_not_is_an_attribute_error(name):
    with pytest.raises(AttributeError, match=f"'diffattn' has no attribute '{name}'"):
        getattr(diffattn, name)


LOAD = """
import sys, tensorflow as tf
exec(sys.argv[1])
import keras
for _ in range(2):
    model = keras.models.load_model(sys.argv[2])
    texts = tf.constant([["a good <b>film</b>"], ["bad"]])
    print(*model(texts).numpy()[:, 0].tolist())
    model.save(sys.argv[2])
"""


@pytest.fixture(scope="module")
def model_that_reads_text(tmp_path_factory):
    """Its file, and what it answers to the texts of `LOAD`."""
    vectorizer = diffattn.make_vectorizer(["a good film", "a bad one"], 9, 5)
    classifier = diffattn.build_classifier(
        "differential",
        embed_dim=6,
        num_heads=2,
        vocabulary_size=9,
        sequence_length=5,
        positional_encoding=True,
        mask_padding=True,
    )
    text = keras.Input((1,), dtype="string")
    model = keras.Model(text, classifier(vectorizer(text)))
    path = tmp_path_factory.mktemp("model") / "model.keras"
    model.save(path)
    return path, model(tf.constant([["a good <b>film</b>"], ["bad"]])).numpy()[:, 0]


@pytest.mark.parametrize(
    "imports",
    [
        "import keras, diffattn",
        "import diffattn, keras",
        "from diffattn.layer import CustomMultiheadAttention",
        "from diffattn import scores",
    ],
)
def test_a_model_loads_whatever_is_imported_first(
    imports, model_that_reads_text, tmp_path
):
    """And is saved as it was."""
    path, expected = model_that_reads_text
    copy = shutil.copy(path, tmp_path)
    found = [float(number) for number in answer(LOAD, imports, copy)]
    assert found == 2 * expected.tolist()


def test_import_diffattn_brings_no_keras_and_keras_no_module_of_ours():
    program = """
import sys, diffattn
print("keras" in sys.modules)
import keras
print(*[name for name in sys.modules if name.startswith("diffattn.")])
"""
    assert answer(program) == ["False", "diffattn.registration"]


def test_every_layer_is_known_before_its_module_is_imported():
    for module in ("layer", "model", "standardization"):
        getattr(diffattn, module)
    known = {name for name in keras.saving.get_custom_objects() if "diffattn>" in name}
    functions = {"diffattn>custom_standardization"}
    assert known - functions == {f"diffattn>{name}" for name in LAYERS}
    for name, module in LAYERS.items():
        layer = keras.saving.get_registered_object(f"diffattn>{name}")
        assert layer is getattr(getattr(diffattn, module), name)
