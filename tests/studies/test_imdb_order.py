from dataclasses import replace

import numpy as np
import pytest
from stored_results import store

from diffattn.errors import ResultError
from diffattn.studies import STUDIES, imdb_order
from diffattn.studies.imdb_order import ROWS, STUDY, TUNING, best_draws, label
from diffattn.studies.models import DIFFERENCE
from diffattn.studies.results import read_results
from diffattn.training.answers import pack_right


def answers(config):
    share = 0.85 if config.data == "imdb" else 0.8
    rng = np.random.default_rng(config.seed)
    return {"right": {"test": pack_right(rng.random(2000) < share)}}


def store_tuning(folder, best):
    """Tuning runs of which the draw with the index `best` is the best for all."""
    for draw in range(4):
        name = f"{TUNING}-{draw + 1}"
        value = 0.9 if draw == best else 0.8
        store(folder / name, STUDY.grids[name], lambda config, v=value: v)


def test_the_best_draw_is_that_of_the_highest_validation_accuracy(tmp_path):
    store_tuning(tmp_path, best=2)
    runs = read_results(tmp_path)
    assert best_draws(runs) == {label(model): 2 for model, _ in ROWS}
    without = runs[runs["grid"] != f"{TUNING}-4"]
    assert best_draws(without) == {}


def test_only_what_has_run_is_reported(tmp_path):
    store_tuning(tmp_path, best=2)
    (tuning,) = STUDY.report(read_results(tmp_path))
    assert tuning.title == "IMDB: tuning on the validation set"
    assert {row[0] for row in tuning.rows} == {label(model) for model, _ in ROWS}


def test_another_draw_than_the_best_is_an_error(tmp_path, monkeypatch):
    store_tuning(tmp_path, best=2)
    runs = read_results(tmp_path)
    monkeypatch.setattr(imdb_order, "ROWS", ((DIFFERENCE, 2),))
    imdb_order.check_draws(runs)
    monkeypatch.setattr(imdb_order, "ROWS", ((DIFFERENCE, 1),))
    with pytest.raises(ResultError, match=r"draw 1 for differentialSum.*choose 2"):
        STUDY.report(runs)


def test_order_is_worth_what_shuffling_loses(tmp_path, monkeypatch):
    store_tuning(tmp_path, best=0)
    monkeypatch.setattr(imdb_order, "ROWS", ((DIFFERENCE, 0),))
    for words, data in (("ordered", "imdb"), ("shuffled", "imdb-shuffled")):
        configs = imdb_order._grid(DIFFERENCE, 0, 5, data)
        store(
            tmp_path / "imdb-order" / words / DIFFERENCE,
            configs,
            lambda c: 0.8,
            answers,
        )
    # As if the tuning had been decided.
    grids = {**STUDY.grids} | {
        f"imdb-order/{words}/{DIFFERENCE}": [] for words in ("ordered", "shuffled")
    }
    monkeypatch.setitem(STUDIES, STUDY.name, replace(STUDY, grids=grids))
    primary, order, tuning = STUDY.report(read_results(tmp_path))
    assert [row[0] for row in primary.rows] == ["P4"]
    assert primary.rows[0][-1] == "higher"
    (row,) = order.rows
    ordered, shuffled = (float(cell.split(" ")[0]) for cell in row[1:3])
    assert float(row[3]) == pytest.approx(ordered - shuffled, abs=2e-4)
    assert len(tuning.headers) == 5
