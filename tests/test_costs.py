import json

import numpy as np
import pytest

from diffattn.attention.scores import REGISTRY, get_score
from diffattn.costs import (
    Rounds,
    growth,
    plot_costs,
    plot_growth,
    ratio,
    read_costs,
    select,
)
from diffattn.errors import ResultError
from diffattn.figures import COLORS, OTHER


def entry(case, round_, seconds, tokens=8, memory=10):
    return {
        "what": {"case": case, "tokens": tokens, "round": round_},
        "seconds": seconds,
        "base_memory": 5,
        "peak_memory": 5 + memory,
    }


def test_ratio_is_the_median_of_the_rounds():
    costs = [entry("a", n, seconds) for n, seconds in enumerate((1.0, 2.0, 30.0, 4.0))]
    others = [entry("b", n, 2.0) for n in range(3)]
    failed = {"what": {"case": "b", "tokens": 8, "round": 3}, "error": "killed"}
    measured = [*costs, *others, failed]
    assert ratio(measured, "a", "b", "seconds") == (1.0, 0.5, 15.0, 3)
    assert str(ratio(measured, "a", "b", "seconds")) == "1.00 (0.50 to 15.00)"
    assert str(ratio(measured[:1] + others, "a", "b", "seconds")) == "0.50 (one round)"
    assert ratio(measured, "a", "b", "seconds", tokens=9) is None
    assert ratio(measured, "a", "c", "seconds") is None
    assert len(select(measured, "b")) == 3


def test_memory_is_what_the_steps_add():
    measured = [entry("a", 0, 1.0, memory=30), entry("b", 0, 1.0, memory=10)]
    assert ratio(measured, "a", "b", "memory").median == 3
    assert ratio(measured, "a", "b", "peak_memory").median == 35 / 15


def test_growth_finds_known_exponents():
    measured = [
        entry("a", n, slower * 3.0 * tokens**2, tokens, 7.0 * tokens ** (1.5 + n))
        for n, slower in enumerate((1, 2, 5))
        for tokens in (1000, 125, 500, 250)
    ]
    constant = entry("a", 0, 9e6, 8, 9e6)  # a constant cost hides growth at small sizes
    curve = growth([*measured, constant, entry("b", 0, 1.0, 7)], "a", "tokens")
    assert list(curve["x"]) == [8, 125, 250, 500, 1000]
    assert curve["time_exponent"] == pytest.approx((2, 2, 2, 3))
    assert curve["memory_exponent"] == pytest.approx((2.5, 1.5, 3.5, 3))
    assert curve["seconds"][0] == (9e6, 9e6, 9e6, 1)
    for tokens, seconds in zip(curve["x"][1:], curve["seconds"][1:], strict=True):
        once = 3.0 * tokens**2
        assert seconds == pytest.approx((2 * once, once, 5 * once, 3))


def test_growth_has_no_exponent_where_nothing_was_added():
    measured = [entry("a", 0, 1.0 * n, n, memory) for n, memory in ((1, 0), (2, 3))]
    curve = growth(measured, "a", "tokens")
    assert curve["memory_exponent"] is None
    assert curve["time_exponent"] == pytest.approx((1, 1, 1, 1))


def test_results_are_read_by_name(tmp_path):
    (tmp_path / "steps.json").write_text(json.dumps({"measured": [1, 2]}))
    (tmp_path / "._steps.json").write_bytes(b"\0\5\x16\7")
    (tmp_path / "growth.unfinished").write_text("{")
    assert read_costs(tmp_path) == {"steps": [1, 2]}


def test_a_cost_is_plotted_as_its_median_between_its_extremes():
    ratios = {
        "l1_norm": (Rounds(2.0, 1.5, 4.0, 3), Rounds(1.1, 1.0, 1.2, 3)),
        "torch": (Rounds(0.5, 0.4, 0.6, 3), Rounds(0.0, 0.0, 0.0, 3)),
    }
    time, memory = plot_costs(ratios, "Keras's layer").axes
    assert time.get_xlabel() == "time, Keras's layer = 1"
    # From the bottom: PyTorch's, then the score's, then the line at 1.
    line, dot, other_line, other_dot, _ = time.lines
    x = [[*part.get_xdata()] for part in (line, dot, other_line, other_dot)]
    assert x == [[0.4, 0.6], [0.5], [1.5, 4.0], [2.0]]
    assert (line.get_color(), other_line.get_color()) == (OTHER, COLORS["l1_norm"])
    assert [text.get_text() for text in time.texts] == ["0.50", "2.00"]
    # A logarithmic axis cannot show 0.
    assert [text.get_text() for text in memory.texts] == ["1.10"]


def test_growth_is_plotted_in_gigabytes_and_dashed_for_other_layers(monkeypatch):
    monkeypatch.setitem(REGISTRY, "a_new_score", get_score("l1_norm"))
    measured = [
        entry(case, n, slower * 3.0 * tokens**2, tokens, 1e9 * tokens)
        for n, slower in enumerate((1, 2, 4))
        for case in ("l1_norm", "a_new_score", "keras")
        for tokens in (125, 250, 500)
    ]
    cases = ("l1_norm", "a_new_score", "keras")
    curves = {case: growth(measured, case, "tokens") for case in cases}
    seconds, memory = plot_growth(curves, "tokens", of="prediction").axes
    assert seconds.get_ylabel() == "seconds a prediction"
    for line, case in zip(seconds.lines, cases, strict=True):
        medians = [found.median for found in curves[case]["seconds"]]
        np.testing.assert_allclose(line.get_ydata(), medians)
        assert line.get_linestyle() == ("--" if case == "keras" else "-")
    np.testing.assert_allclose(memory.lines[0].get_ydata(), [125, 250, 500])
    (first, *_), *_ = (ranges.get_segments() for ranges in seconds.collections)
    np.testing.assert_allclose(first[:, 1], [3.0 * 125**2, 12.0 * 125**2])


@pytest.mark.parametrize("text", ["", "[]", "{}", "3"])
def test_a_file_without_benchmark_results_is_named(text, tmp_path):
    (tmp_path / "steps.json").write_text(text)
    with pytest.raises(ResultError, match=r"steps\.json is not a benchmark's result"):
        read_costs(tmp_path)
