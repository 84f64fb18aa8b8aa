import re

import numpy as np
import pytest
from scipy import stats
from stored_results import accuracy, store

from diffattn.names import MODEL_TYPES
from diffattn.studies.grid import grid
from diffattn.studies.tables import table_of_differences, table_of_means


@pytest.fixture
def runs(tmp_path):
    return store(tmp_path / "results", grid(MODEL_TYPES, 5), accuracy)


def test_means_and_intervals(runs):
    table = table_of_means("Means", runs)
    assert table.headers[0] == "attention"
    assert [row[0] for row in table.rows] == list(MODEL_TYPES)
    values = [accuracy(config) for config in grid(["l1_norm"], 5)]
    interval = stats.ttest_1samp(values, 0).confidence_interval()
    half = (interval.high - interval.low) / 2
    assert table.rows[2][4] == f"{np.mean(values):.4f} ± {half:.4f}"
    assert table.rows[2][5] == "5"
    assert "0.95" not in table.notes[0]
    assert "95%" in table.notes[0]


def test_the_note_says_what_changes_with_the_seed(runs, tmp_path):
    (note,) = table_of_means("Means", runs).notes
    assert "Initial weights, order and dropout change with the seed" in note
    one_order = store(tmp_path / "one", grid(["none"], 2, order_seed=0), accuracy)
    (note,) = table_of_means("Means", one_order).notes
    assert "Initial weights and dropout change with the seed" in note


def test_the_verdicts_follow_the_results(runs):
    table = table_of_differences("Differences", runs)
    assert len(table.rows) == 2 * (len(MODEL_TYPES) - 1)
    assert "all 12 intervals" in table.notes[0]
    verdicts = {row[0]: row[-1] for row in table.rows if row[1] == "test accuracy"}
    assert verdicts["differential"] == "differs"
    assert verdicts["l2_norm"] == "too few seeds"
    assert re.fullmatch(r"within ±0\.00\d\d", verdicts["l1_norm"])
    assert "scaled_dot_product" not in verdicts
    sentence = table.notes[-1]
    assert sentence.startswith("Test accuracy, against scaled_dot_product: ")
    assert re.search(r"\bdifferential: differs by \+0\.(099|1)", sentence)
    assert "l2_norm: too few seeds" in sentence


def test_a_failed_run_stays_in_the_table(tmp_path):
    def metrics(config):
        return "DivergenceError: loss is nan" if config.seed == 1 else 0.5

    runs = store(tmp_path / "failing", grid(["none"], 3), metrics)
    table = table_of_means("Means", runs)
    assert table.rows == [["none", *["0.5000 ± 0.0000"] * 4, "3, 1 failed"]]
    assert table.notes[1] == "Failed: none, seed 1: DivergenceError: loss is nan"
    everywhere = store(tmp_path / "lost", grid(["none"], 2), lambda _: "MemoryError: ")
    assert table_of_means("Means", everywhere).rows[0][1:] == [
        *["–"] * 4,
        "2, 2 failed",
    ]
