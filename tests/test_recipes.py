"""What CONTRIBUTING.md says one adds, added as it says, and nothing else edited."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import reference
from tools import qkv, worst

import diffattn

pytestmark = pytest.mark.slow

ROOT = Path(diffattn.__file__).parents[1]


def recipe(title):
    """The code below a heading of CONTRIBUTING.md."""
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    (section,) = re.findall(rf"^### {title}$(.*?)(?=^###? |\Z)", text, re.M | re.S)
    (code,) = re.findall(r"^```python\n(.*?)^```$", section, re.M | re.S)
    return code


@pytest.fixture
def module(tmp_path, monkeypatch):
    """A function that makes a recipe a module, for processes to import by its name."""
    path = os.pathsep.join([str(tmp_path), str(ROOT)])

    def write(name, title):
        (tmp_path / f"{name}.py").write_text(recipe(title), encoding="utf-8")
        return path

    return write


def run(path, *command, folder):
    """Run a command in a process of its own."""
    answer = subprocess.run(
        [sys.executable, *command],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
    )
    assert answer.returncode == 0, answer.stderr
    return answer.stdout


def diffattn_command(path, name, *arguments, folder):
    command = ("-m", "diffattn", "--import", name, *arguments)
    return run(path, *command, folder=folder)


#: What one may expect of any score, asked of the new one by its name.
USE_THE_SCORE = """
import sys
import keras, numpy as np
import seventh
from diffattn import ATTENTION_TYPES, CustomMultiheadAttention, attend
from diffattn.attention.symmetries import TRANSFORMATIONS, change_of_weights
from diffattn.figures import color
from diffattn.scores import get_score

q, k, v, mask = (np.load(sys.argv[1])[name] for name in ("q", "k", "v", "mask"))
output, weights = attend(q, k, v, "squared_l2", scale=0.5, mask=mask)
np.savez(sys.argv[2], output=output, weights=weights)

layer = CustomMultiheadAttention(6, 2, attention_type="squared_l2")
tokens = keras.Input((5, 6))
model = keras.Model(tokens, layer(tokens))
model.save("seventh.keras")
x = np.random.default_rng(0).normal(size=(2, 5, 6)).astype("float32")
again = keras.models.load_model("seventh.keras")
assert np.array_equal(again.predict(x, verbose=0), model.predict(x, verbose=0))
assert again.layers[1].attention_type == "squared_l2"

for name in TRANSFORMATIONS:
    change = change_of_weights("squared_l2", name)
    assert (change < 1e-12) == (name in get_score("squared_l2").symmetries), name
colors = [color(name) for name in (*ATTENTION_TYPES, "none", "squared_l2")]
assert len(set(colors)) == len(colors) == 8
assert len(ATTENTION_TYPES) == 6
"""


def test_a_score_is_a_module_of_its_own(module, tmp_path):
    code = [line for line in recipe("Add a score").splitlines() if line.strip()]
    assert len(code) <= 17
    path = module("seventh", "Add a score")
    q, k, v = qkv()
    mask = np.random.default_rng(1).random((2, 3, 5, 11)) < 0.6
    np.savez(tmp_path / "inputs.npz", q=q, k=k, v=v, mask=mask)
    run(path, "-c", USE_THE_SCORE, "inputs.npz", "found.npz", folder=tmp_path)
    squared = reference.score(q, k, "l2_norm") ** 2
    scores = np.where(mask, -0.5 * squared, -np.inf)
    e = np.exp(scores - scores.max(-1, keepdims=True))
    expected = e / e.sum(-1, keepdims=True)
    found = np.load(tmp_path / "found.npz")
    assert worst(found["weights"], expected) < 1e-12
    assert worst(found["output"], expected @ v) < 1e-12


def test_a_score_of_ones_own_is_trained_compared_and_drawn(module, tmp_path):
    path = module("seventh", "Add a score")
    types = "squared_l2,l2_norm"
    settings = ("--data", "order", "--epochs", "1", "--seeds", "2")
    table = diffattn_command(
        path,
        "seventh",
        "table",
        "--attention-types",
        types,
        *settings,
        "--figures",
        "figures",
        folder=tmp_path,
    )
    # What does not see order gives a sequence and its mirror image one answer.
    (row,) = (line for line in table.splitlines() if line.startswith("squared_l2"))
    assert "0.5000 ± 0.0000" in row
    assert (tmp_path / "figures" / "table.png").exists()
    diffattn_command(
        path,
        "seventh",
        "train",
        "--attention-type",
        "squared_l2",
        "--epochs",
        "1",
        folder=tmp_path,
    )
    (folder,) = (tmp_path / "runs").iterdir()
    answer = diffattn_command(
        path, "seventh", "predict", folder, "not good, but fun", folder=tmp_path
    )
    assert re.fullmatch(r"0\.\d{4}\tnot good, but fun\n", answer)


def test_a_data_set_is_a_module_and_an_entry(module, tmp_path):
    path = module("votes", "Add a data set")
    text = diffattn_command(path, "votes", "train", "--help", folder=tmp_path)
    words = " ".join(text.split())
    assert "'votes' (more yes than no)" in words
    assert re.search(r"tokens of a review, .*?for votes 5", words)
    arguments = ("train", "--data", "votes", "--attention-type", "none")
    diffattn_command(path, "votes", *arguments, folder=tmp_path)
    (folder,) = (tmp_path / "runs").iterdir()
    run_json = json.loads((folder / "run.json").read_text())
    assert run_json["config"]["sequence_length"] == 5
    assert run_json["metrics"]["epochs"] == 3
    assert run_json["provenance"]["data"]["name"] == "votes"
    answer = diffattn_command(path, "votes", "evaluate", folder, folder=tmp_path)
    assert "accuracy" in answer


def test_a_task_that_tags_tokens_is_an_entry_too(module, tmp_path):
    path = module("tagging", "Add a task")
    for attention_type in ("differentialSum", "scaled_dot_product"):
        diffattn_command(
            path,
            "tagging",
            "train",
            "--data",
            "repeats",
            "--attention-type",
            attention_type,
            folder=tmp_path,
        )
    for folder in sorted((tmp_path / "runs").iterdir()):
        metrics = json.loads((folder / "run.json").read_text())["metrics"]
        assert 0 < metrics["test_accuracy"] <= 1
        answer = diffattn_command(
            path, "tagging", "predict", folder, "a a b b", folder=tmp_path
        )
        tags, text = answer.rstrip("\n").split("\t")
        assert len(tags.split()) == 8
        assert set(tags.split()) <= {"0", "1"}
        assert text == "a a b b"


def test_a_study_is_a_module_and_an_entry(module, tmp_path):
    path = module("heads", "Add a study")
    text = diffattn_command(path, "heads", "table", "--help", folder=tmp_path)
    assert "Does one head do?" in " ".join(text.split())
    arguments = ("table", "--study", "heads", "--into", "results")
    table = diffattn_command(path, "heads", *arguments, folder=tmp_path)
    assert table.count("l2_norm") >= 2
    stored = sorted(p.name for p in (tmp_path / "results").rglob("*.json"))
    assert stored == sorted(2 * ["l2_norm-seed-0.json", "l2_norm-seed-1.json"])
    again = diffattn_command(
        path, "heads", "table", "--from", "results", folder=tmp_path
    )
    assert again == table
