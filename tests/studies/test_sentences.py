import numpy as np
import pandas as pd
import pytest
from stored_results import store

from diffattn.errors import ResultError
from diffattn.studies.models import DIFFERENCE, LEARNED, RIVALS, label
from diffattn.studies.results import read_results
from diffattn.studies.sentences import (
    BEST_RIVALS,
    BLIND,
    SEEING,
    STUDY,
    check_best_rivals,
)
from diffattn.training.answers import pack_right


def share(config):
    return 0.8 if config.attention_type.startswith("differential") else 0.5


def answers(config):
    rng = np.random.default_rng(config.seed)
    result = {"right": {"test": pack_right(rng.random(600) < share(config))}}
    if config.label == LEARNED:
        result["parameters"] = {"attention": {"coefficient": [-1.0, 0.1] * 4}}
    return result


ALL = (*SEEING, *BLIND)


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("results")
    for name in ("sentences/distance-1", "sentences/distance-2"):
        configs = [config for config in STUDY.grids[name] if config.seed < 3]
        store(folder / name, configs, share, answers)
    return read_results(folder)


def test_the_primary_comparisons_come_first_then_a_table_for_each_grid(runs):
    primary, near, far = STUDY.report(runs)
    assert [row[0] for row in primary.rows] == ["P1", "P2", "P3"]
    assert "words 1 apart" in near.title
    assert "words 2 apart" in far.title
    assert len(near.rows) == len(ALL)
    values = [float(row[1]) for row in near.rows]
    assert values == sorted(values, reverse=True)
    expected = np.mean([np.random.default_rng(n).random(600) < 0.8 for n in range(3)])
    by_label = {row[0]: row for row in near.rows}
    assert by_label[DIFFERENCE][1] == f"{expected:.4f}"
    assert by_label[DIFFERENCE][3] == "3"


def test_other_best_rivals_are_an_error(runs):
    check_best_rivals(runs)  # not all rivals have run
    first, second = (label(model) for model in BEST_RIVALS)
    value = {first: 0.8, second: 0.7}
    rows = [
        {
            "grid": "sentences/distance-1",
            "label": label(model),
            "seed": seed,
            "validation_accuracy": value.get(label(model), 0.6),
        }
        for model in RIVALS
        for seed in range(5)
    ]
    complete = pd.DataFrame(rows)
    check_best_rivals(complete)
    other = complete["label"] == "rotary"
    complete.loc[other, "validation_accuracy"] = 0.75
    with pytest.raises(ResultError, match="rotary"):
        check_best_rivals(complete)


def test_each_grid_has_a_picture_and_the_coefficients_have_one(runs):
    figures = STUDY.figures(runs)
    assert set(figures) == {
        "sentences", "sentences/distance-2", "sentences-coefficients",
    }  # fmt: skip
    (axes,) = figures["sentences"].axes
    names = [text.get_text() for text in axes.get_yticklabels()]
    assert sorted(names) == sorted(label(model) for model in ALL)
    (heads,) = figures["sentences-coefficients"].axes
    assert [len(group.get_offsets()) for group in heads.collections] == [8] * 3


def test_all_rivals_have_the_same_chances():
    configs = STUDY.grids["sentences/distance-1"]
    settings = {
        (c.epochs, c.learning_rate, c.batch_size, c.embedding_spread, c.scale)
        for c in configs
    }
    assert len(settings) == 1
    counts = {label(model): 0 for model in RIVALS}
    for config in configs:
        if config.label in counts:
            counts[config.label] += 1
    best = {label(model) for model in BEST_RIVALS[:1]}
    assert counts == {name: 10 if name in best else 5 for name in counts}
