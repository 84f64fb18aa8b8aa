import numpy as np
import pandas as pd
import pytest

from diffattn.errors import ResultError
from diffattn.studies.answers import (
    accuracy_of_tests,
    answers,
    compare_answers,
    learned_values,
)
from diffattn.studies.statistics import resample
from diffattn.training.answers import pack_right


def frame(rights, label="a", grid="g"):
    """Runs of one label, as `read_results` gives them, with these answers."""
    return pd.DataFrame(
        [
            {"grid": grid, "label": label, "seed": seed, "right": right}
            for seed, right in rights.items()
        ]
    )


def random_answers(seeds, share, items=60):
    rng = np.random.default_rng(0)
    return {seed: rng.random(items) < share for seed in seeds}


def packed(rights):
    return {seed: {"test": pack_right(right)} for seed, right in rights.items()}


def test_items_that_belong_together_are_averaged():
    rights = {3: np.array([1, 1, 0, 1, 0, 0], bool)}
    table = answers(frame(packed(rights)), together=2)
    assert table.index.tolist() == [3]
    assert table.loc[3].tolist() == [1.0, 0.5, 0.0]


def test_runs_without_answers_do_not_count():
    rights = {0: {"test": pack_right(np.ones(4, bool))}, 1: None, 2: float("nan")}
    assert answers(frame(rights)).index.tolist() == [0]


@pytest.mark.parametrize(("items", "together"), [((4, 6), 1), ((5, 5), 2)])
def test_runs_that_answered_other_items_are_refused(items, together):
    rights = {seed: np.ones(count, bool) for seed, count in enumerate(items)}
    with pytest.raises(ResultError, match="test items: they must be equally many"):
        answers(frame(packed(rights)), together=together)


def test_models_are_compared_over_the_seeds_in_common():
    ours, theirs = random_answers(range(5), 0.8), random_answers(range(1, 9), 0.6)
    result = compare_answers(frame(packed(ours)), frame(packed(theirs), "b"))
    both = [1, 2, 3, 4]
    expected = resample(
        np.array([ours[n] for n in both], float),
        np.array([theirs[n] for n in both], float),
    )
    assert result == expected


def test_a_model_is_compared_with_an_accuracy():
    ours = random_answers(range(5), 0.8)
    result = compare_answers(frame(packed(ours)), 0.5)
    assert result.mean == pytest.approx(np.mean([*ours.values()]) - 0.5)


def test_one_seed_in_common_is_too_few():
    ours, theirs = random_answers([0, 1], 0.8), random_answers([1, 2], 0.6)
    assert compare_answers(frame(packed(ours)), frame(packed(theirs), "b")) is None
    assert compare_answers(frame(packed({0: ours[0]})), 0.5) is None


def test_further_test_sets_and_learned_values_are_listed_run_by_run():
    runs = frame({0: None, 1: None}).assign(
        tests=[{"50": {"accuracy": 0.7}, "800": {"accuracy": 0.6}}, None],
        parameters=[{"attention": {"coefficient": [-1.0, 0.5]}}, None],
    )
    assert accuracy_of_tests(runs).values.tolist() == [
        ["g", "a", 0, "50", 0.7],
        ["g", "a", 0, "800", 0.6],
    ]
    assert learned_values(runs, "coefficient").values.tolist() == [
        ["g", "a", 0, "attention", 0, -1.0],
        ["g", "a", 0, "attention", 1, 0.5],
    ]
    assert not len(learned_values(runs, "bias"))
