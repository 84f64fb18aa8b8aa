"""The benchmark runs, and tells what got worse; its figures are measured elsewhere."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.plan import PLANS
from benchmarks.report import compare, ratios, set_reference, table
from benchmarks.sizes import BATCH

pytestmark = pytest.mark.slow

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


def measured_steps():
    """Two rounds of a benchmark, with figures made up."""
    cases = {"l1_norm": 3.0, "l2_norm": 1.2, "scaled_dot_product": 1.0}
    return [
        {
            "what": {"case": case, "batch": BATCH, "round": n},
            "seconds": seconds,
            "peak_memory": 1e9,
        }
        for n in range(2)
        for case, seconds in cases.items()
    ]


def test_what_got_worse_is_said(tmp_path):
    measured = measured_steps()
    reference = tmp_path / "reference.json"
    assert compare("steps", measured, reference) == []
    set_reference("steps", measured, reference)
    assert compare("steps", measured, reference) == []
    for entry in measured:
        if entry["what"]["case"] == "l2_norm":
            entry["seconds"] *= 2
    assert compare("steps", measured, reference) == [
        "worse than the reference: time of l2_norm / scaled_dot_product: 1.20, now 2.40"
    ]
    assert "| l2_norm / scaled_dot_product | 2.40 | 1.25 |" in table("steps", measured)


@pytest.mark.parametrize(
    "path", sorted((ROOT / "results" / "benchmark").glob("*.json"))
)
def test_the_stored_results_are_whole(path):
    name = path.stem
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
        assert stored[name] == ratios(name, measured)
