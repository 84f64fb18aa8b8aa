import json

import pytest
from tools import answer
from training_case import SMALL

from diffattn import load_run, load_sample

pytestmark = pytest.mark.slow

TRAIN = """
import json, sys, keras
exec(sys.argv[1])
settings = keras.config.floatx(), keras.config.dtype_policy().name
settings += keras.config.epsilon(), keras.config.max_epochs()
from diffattn import train
run = train(output=sys.argv[2], verbose=0, **json.loads(sys.argv[3]))
after = keras.config.floatx(), keras.config.dtype_policy().name
assert settings == (*after, keras.config.epsilon(), keras.config.max_epochs())
with open(sys.argv[4]) as file:
    texts = json.load(file)
print(*settings, *run.predict(texts).tolist())
"""


@pytest.mark.parametrize(
    ("statement", "file", "environment", "expected"),
    [
        ("keras.config.set_floatx('float64')", {}, {}, ["float64", "float64"]),
        (
            "keras.config.set_dtype_policy('mixed_bfloat16')",
            {},
            {},
            ["float32", "mixed_bfloat16"],
        ),
        (
            "",
            {
                "floatx": "float16",
                "epsilon": 0.1,
                "image_data_format": "channels_first",
            },
            {"KERAS_MAX_EPOCHS": "1", "KERAS_MAX_STEPS_PER_EPOCH": "2"},
            ["float16", "float16", "0.1", "1"],
        ),
    ],
)
def test_a_run_does_not_depend_on_the_settings_of_keras(
    statement, file, environment, expected, run, tmp_path
):
    (tmp_path / "keras.json").write_text(json.dumps({"backend": "tensorflow", **file}))
    texts = [str(text) for text in load_sample().test.texts[:100]]
    (tmp_path / "texts.json").write_text(json.dumps(texts))
    environment = {"KERAS_HOME": str(tmp_path), **environment}
    arguments = statement, tmp_path / "runs", json.dumps(SMALL), tmp_path / "texts.json"
    words = answer(TRAIN, *arguments, **environment)
    assert words[: len(expected)] == expected
    assert [*map(float, words[4:])] == run.predict(texts).tolist()
    (path,) = (tmp_path / "runs").iterdir()
    other = load_run(path)
    assert other.history == run.history
    assert other.metrics == run.metrics
