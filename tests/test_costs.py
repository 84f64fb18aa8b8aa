import json

import numpy as np
import pytest

from diffattn.costs import growth, ratio, read_costs, select
from diffattn.results import ResultError


def entry(case, round_, seconds, tokens=8, memory=10):
    return {
        "what": {"case": case, "tokens": tokens, "round": round_},
        "seconds": seconds,
        "base_memory": 5,
        "peak_memory": 5 + memory,
    }


def test_ratio_is_the_median_of_the_rounds():
    ours = [entry("a", n, seconds) for n, seconds in enumerate((1.0, 2.0, 30.0, 4.0))]
    theirs = [entry("b", n, 2.0) for n in range(3)]
    failed = {"what": {"case": "b", "tokens": 8, "round": 3}, "error": "killed"}
    measured = [*ours, *theirs, failed]
    assert ratio(measured, "a", "b", "seconds") == (1.0, 0.5, 15.0, 3)
    assert str(ratio(measured, "a", "b", "seconds")) == "1.00 (0.50 to 15.00)"
    assert str(ratio(measured[:1] + theirs, "a", "b", "seconds")) == "0.50 (one round)"
    assert ratio(measured, "a", "b", "seconds", tokens=9) is None
    assert ratio(measured, "a", "c", "seconds") is None
    assert len(select(measured, "b")) == 3


def test_memory_is_what_the_steps_add():
    measured = [entry("a", 0, 1.0, memory=30), entry("b", 0, 1.0, memory=10)]
    assert ratio(measured, "a", "b", "memory").median == 3
    assert ratio(measured, "a", "b", "peak_memory").median == 35 / 15


def test_growth_finds_known_exponents():
    measured = [
        entry("a", 0, 3.0 * tokens**2, tokens, 7.0 * tokens**1.5)
        for tokens in (1000, 125, 500, 250)
    ]
    constant = entry("a", 0, 9e6, 8, 9e6)  # hides the growth of the short ones
    found = growth([*measured, constant, entry("b", 0, 1.0, 7)], "a", "tokens")
    assert list(found["x"]) == [8, 125, 250, 500, 1000]
    assert found["time_exponent"] == pytest.approx(2)
    assert found["memory_exponent"] == pytest.approx(1.5)
    np.testing.assert_allclose(found["memory"][1:], 7.0 * found["x"][1:] ** 1.5)


def test_results_are_read_by_name(tmp_path):
    (tmp_path / "steps.json").write_text(json.dumps({"measured": [1, 2]}))
    (tmp_path / "._steps.json").write_bytes(b"\0\5\x16\7")
    (tmp_path / "growth.unfinished").write_text("{")
    assert read_costs(tmp_path) == {"steps": [1, 2]}


@pytest.mark.parametrize("text", ["", "[]", "{}", "3"])
def test_a_file_that_is_no_benchmarks_is_named(text, tmp_path):
    (tmp_path / "steps.json").write_text(text)
    with pytest.raises(ResultError, match=r"steps\.json is not a benchmark's result"):
        read_costs(tmp_path)
