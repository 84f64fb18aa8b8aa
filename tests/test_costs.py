import json

import numpy as np
import pytest

from diffattn.costs import growth, ratio, read_costs, select


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
    assert ratio(measured, "a", "b", "seconds") == 1.0
    assert ratio(measured, "a", "b", "seconds", tokens=9) is None
    assert ratio(measured, "a", "c", "seconds") is None
    assert len(select(measured, "b")) == 3


def test_growth_finds_known_exponents():
    measured = [
        entry("a", 0, 3.0 * tokens**2, tokens, 7.0 * tokens**1.5)
        for tokens in (1000, 125, 500, 250)
    ]
    found = growth([*measured, entry("b", 0, 1.0, 7)], "a", "tokens")
    assert list(found["x"]) == [125, 250, 500, 1000]
    assert found["time_exponent"] == pytest.approx(2)
    assert found["memory_exponent"] == pytest.approx(1.5)
    np.testing.assert_allclose(found["memory"], 7.0 * found["x"] ** 1.5)


def test_results_are_read_by_name(tmp_path):
    (tmp_path / "steps.json").write_text(json.dumps({"measured": [1, 2]}))
    assert read_costs(tmp_path) == {"steps": [1, 2]}
