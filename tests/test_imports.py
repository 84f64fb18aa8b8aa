"""What `import diffattn` provides and loads, tested in new processes."""

import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import keras
import pytest
import tensorflow as tf
from tools import answer, weekly_but

import diffattn

pytestmark = pytest.mark.slow

ROOT = Path(diffattn.__file__).parents[1]


def test_importing_the_package_does_not_load_tensorflow():
    program = "import sys, diffattn; print('tensorflow' in sys.modules)"
    assert answer(program) == ["False"]


def test_modules_are_attributes():
    program = "import diffattn; print(diffattn.scores.score.__module__)"
    assert answer(program) == ["diffattn.attention.scores"]


@pytest.mark.parametrize("name", ["scroes", "_scores", "__main__"])
def test_an_unknown_name_is_an_attribute_error(name):
    with pytest.raises(AttributeError, match=f"'diffattn' has no attribute '{name}'"):
        getattr(diffattn, name)


#: Runs before any import, and makes the packages in the first argument unavailable.
HIDE_PACKAGES = """
import sys

class Missing:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in sys.argv[1].split(","):
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, Missing())
"""

USE_THE_LAYER = """
import keras, numpy as np
from diffattn import ATTENTION_TYPES, CustomMultiheadAttention, attend
from diffattn.scores import Score, register

x = np.random.default_rng(0).normal(size=(4, 5, 6)).astype("float32")
for name in ATTENTION_TYPES:
    tokens = keras.Input((5, 6))
    output = CustomMultiheadAttention(6, 2, attention_type=name)(tokens)
    model = keras.Model(tokens, keras.layers.Dense(1)(output))
    model.compile("sgd", "mse")
    before = model.get_weights()
    model.train_on_batch(x, np.ones((4, 5, 1)))
    changed = [not np.array_equal(a, b) for a, b in zip(before, model.get_weights())]
    print(name, keras.config.backend(), any(changed))
"""


def optional_modules():
    """List the modules of all packages in the extras of pyproject.toml."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"].values()
    names = {re.match(r"[\w-]+", r)[0] for extra in extras for r in extra}
    modules = {name.replace("-", "_").lower() for name in names}
    assert {"tensorflow", "matplotlib", "pooch", "tqdm", "pandas"} <= modules
    return ",".join(modules - {"jax", "scipy"})  # JAX needs SciPy


def test_the_layer_needs_only_keras_numpy_and_a_backend():
    words = answer(
        HIDE_PACKAGES + USE_THE_LAYER, optional_modules(), KERAS_BACKEND="jax"
    )
    expected = [f"{name} jax True" for name in diffattn.ATTENTION_TYPES]
    assert words == " ".join(expected).split()


@pytest.mark.parametrize(
    ("missing", "extra", "command"),
    [
        ("tensorflow", "train", ["train"]),
        ("pandas", "study", ["table", "--from", "."]),
    ],
)
def test_a_command_names_the_extra_that_it_needs(missing, extra, command):
    program = HIDE_PACKAGES + "from diffattn.cli import main; main(sys.argv[2:])"
    run = [sys.executable, "-c", program, missing, *command]
    environment = {**os.environ, "KERAS_BACKEND": "jax"}
    result = subprocess.run(run, env=environment, capture_output=True, text=True)
    assert result.returncode == 2
    (line,) = result.stderr.splitlines()
    assert line == (
        f"diffattn: error: this needs {missing}, which is not installed: "
        f"pip install 'diffattn[{extra}]'"
    )


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
    """The model's file, and its logits for the texts of `LOAD`."""
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
    weekly_but(
        [
            "import keras, diffattn",
            "import diffattn, keras",
            "from diffattn.attention.layer import CustomMultiheadAttention",
            "from diffattn import scores",
        ],
        "import keras, diffattn",
        "from diffattn.attention.layer import CustomMultiheadAttention",
    ),
)
def test_a_model_loads_whatever_is_imported_first(
    imports, model_that_reads_text, tmp_path
):
    """And it can be saved and loaded again."""
    path, expected = model_that_reads_text
    copy = shutil.copy(path, tmp_path)
    logits = [float(number) for number in answer(LOAD, imports, copy)]
    assert logits == 2 * expected.tolist()


def test_importing_the_package_does_not_load_keras():
    program = "import sys, diffattn; print('keras' in sys.modules)"
    assert answer(program) == ["False"]


def test_keras_knows_what_a_saved_model_may_contain():
    for order in ("import diffattn, keras", "import keras, diffattn"):
        program = f"{order}; print(*keras.saving.get_custom_objects())"
        names = {name for name in answer(program) if name.startswith("diffattn>")}
        assert names >= {
            "diffattn>CustomMultiheadAttention",
            "diffattn>MeanOverTokens",
            "diffattn>PositionalEncoding",
            "diffattn>TokenEmbedding",
            "diffattn>custom_standardization",
        }
