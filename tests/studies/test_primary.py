import numpy as np
import pandas as pd
import pytest

from diffattn.studies import primary
from diffattn.studies.models import DIFFERENCE, SUM
from diffattn.studies.primary import PRIMARY, best_rival, judge_all, tables_of_primary
from diffattn.studies.statistics import holm, resample
from diffattn.training.answers import pack_right

ITEMS = 400


def runs_of(grid, name, share, seeds=10, validation=0.5):
    rng = np.random.default_rng(sum(map(ord, grid + name)))
    return pd.DataFrame(
        [
            {
                "grid": grid,
                "label": name,
                "seed": seed,
                "validation_accuracy": validation,
                "right": {"test": pack_right(rng.random(ITEMS) < share)},
            }
            for seed in range(seeds)
        ]
    )


@pytest.fixture(scope="module")
def runs():
    at = primary.SENTENCES
    return pd.concat(
        [
            runs_of(at, DIFFERENCE, 0.65),
            runs_of(at, SUM, 0.65),
            runs_of(at, "multi_token", 0.8, validation=0.7),
            runs_of(at, "rotary", 0.9, validation=0.6),
            # No rival, however well it does.
            runs_of(at, "l1_norm", 0.9, validation=0.99),
        ]
    )


def test_the_best_rival_is_chosen_on_validation_alone(runs):
    assert best_rival(runs) == "multi_token"
    late = (runs["label"] == "rotary") & (runs["seed"] >= 5)
    changed = runs.assign(
        validation_accuracy=runs["validation_accuracy"].mask(late, 1.0)
    )
    assert best_rival(changed) == "multi_token"
    assert best_rival(runs[runs["label"] == DIFFERENCE]) is None


def test_comparisons_are_those_of_the_plan(runs):
    judged = judge_all(runs)
    assert list(judged) == ["P1", "P2", "P3"]
    assert [judged[name][0] for name in judged] == ["one half", SUM, "multi_token"]
    assert [judged[name][3] for name in judged][::2] == ["higher", "lower"]


def test_p_values_are_corrected_for_all_four(runs):
    judged = judge_all(runs)
    by_label = {
        name: np.array([primary_bits(r) for r in of_label["right"]])
        for name, of_label in runs.groupby("label")
    }
    ours = by_label[DIFFERENCE]
    raw = {
        "P1": resample(ours, 0.5).p_value,
        "P2": resample(ours, by_label[SUM]).p_value,
        "P3": resample(ours, by_label["multi_token"]).p_value,
        "P4": 1.0,
    }
    for name, (_, _, p_value, _) in judged.items():
        assert p_value == pytest.approx(holm(raw)[name])


def primary_bits(right):
    from diffattn.training.answers import unpack_right

    return unpack_right(right["test"]).reshape(-1, 2).mean(axis=1)


def test_the_verdict_depends_on_margin_and_p_value():
    def result(low, high):
        return type("R", (), {"mean": (low + high) / 2, "low": low, "high": high})

    assert primary.judge(result(0.02, 0.04), 0.001) == "higher"
    assert primary.judge(result(-0.04, -0.02), 0.001) == "lower"
    assert primary.judge(result(-0.005, 0.009), 0.4) == "below the margin"
    assert primary.judge(result(-0.005, 0.011), 0.4) == "open"


def test_the_table_has_a_row_for_each_and_names_what_is_missing(runs):
    (table,) = tables_of_primary(runs)
    assert [row[0] for row in table.rows] == ["P1", "P2", "P3"]
    assert "(P4 not run here count as 1)" in table.notes[0]
    assert tables_of_primary(runs[runs["label"] == "rotary"]) == []


def test_every_comparison_is_in_the_written_plan():
    from diffattn.studies.results import project_results

    plan = (project_results() / "PLAN.md").read_text(encoding="utf-8")
    for one in PRIMARY:
        assert f"| {one.name} | {one.question} |" in plan
