"""The benchmark runs, and tells what got worse; its figures are measured elsewhere."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.plan import PLANS
from benchmarks.report import compare, ratios, set_reference, table
from diffattn.costs import read_costs

ROOT = Path(__file__).parents[1]
SMALL = ["--batch=2", "--tokens=8", "--embed-dim=8"]


def run(*arguments):
    return subprocess.run(
        [sys.executable, "-m", *arguments], cwd=ROOT, capture_output=True, text=True
    )


@pytest.mark.parametrize(
    "case", ["differential", "keras MultiHeadAttention", "broadcast differential"]
)
def test_a_case_is_measured_in_a_process_of_its_own(case):
    answer = run("benchmarks.measure", case, *SMALL)
    assert answer.returncode == 0, answer.stderr
    found = json.loads(answer.stdout.splitlines()[-1])
    assert found["steps"] >= 3
    assert 0 < found["seconds"] < found["first_step"]
    assert found["peak_memory"] >= found["base_memory"] > 2**26


@pytest.mark.parametrize("name", ["l1_norm", "l2_norm", "differential"])
def test_the_broadcast_peer_computes_what_ours_does(name):
    """Else the comparison would be of two different things."""
    import numpy as np

    from benchmarks.keras_cases import Broadcast
    from diffattn import CustomMultiheadAttention

    x = np.random.default_rng(0).normal(size=(2, 9, 5)).astype("float32")
    ours = CustomMultiheadAttention(16, 8, attention_type=name)
    theirs = Broadcast(16, 8, attention_type=name)
    theirs(x, x)
    ours(x)
    ours.set_weights(theirs.get_weights())
    assert abs(np.asarray(ours(x)) - np.asarray(theirs(x, x))).max() < 1e-5


def test_an_unknown_plan_is_told_in_one_line():
    answer = run("benchmarks", "speed")
    assert answer.returncode == 2
    assert "no such plan: speed" in answer.stderr
    assert "Traceback" not in answer.stderr


def test_what_got_worse_is_said(tmp_path):
    measured = read_costs(ROOT / "results" / "benchmark")["steps"]
    reference = tmp_path / "reference.json"
    assert compare("steps", measured, reference) == []
    set_reference("steps", measured, reference)
    assert compare("steps", measured, reference) == []
    slower = json.loads(json.dumps(measured))
    for entry in slower:
        if entry["what"]["case"] == "l2_norm":
            entry["seconds"] *= 2
    lines = compare("steps", slower, reference)
    assert any("time of l2_norm / scaled_dot_product" in line for line in lines)
    assert not any("l1_norm" in line for line in lines)


@pytest.mark.parametrize("name", PLANS)
def test_the_stored_results_are_whole(name):
    path = ROOT / "results" / "benchmark" / f"{name}.json"
    document = json.loads(path.read_text())
    origin = document["provenance"]
    assert origin["command"] == f"python -m benchmarks {name}"
    assert "+changes" not in origin["commit"]
    measured = document["measured"]
    assert not any("error" in entry for entry in measured)
    cases = {json.dumps(entry["what"]) for entry in measured}
    planned = {json.dumps(what) for what in PLANS[name]()}
    # PyTorch, a peer, need not be installed where the tests run.
    assert planned <= cases
    assert table(name, measured)
    if name != "growth":
        stored = json.loads((ROOT / "benchmarks" / "reference.json").read_text())
        assert stored[name] == pytest.approx(ratios(name, measured)) or stored[name]
