"""The order task with repeats and at several lengths; stored results are the truth."""

import itertools
import json
from collections import Counter

import numpy as np
import pytest

from diffattn.data import order
from diffattn.data.order import load_lengths, load_order, order_task
from diffattn.studies.results import project_results
from diffattn.training.config import Config


@pytest.mark.parametrize(
    "grid",
    ["length-24-distance-1", "length-24-distance-4", "length-70-distance-1"],
)
def test_one_pair_gives_the_sequences_that_results_were_measured_on(grid):
    path = project_results() / "order" / grid / "scaled_dot_product-seed-0.json"
    stored = json.loads(path.read_text())
    config = Config(**stored["config"])
    found = order.load(config).describe()
    assert found == stored["provenance"]["data"]


@pytest.mark.parametrize(("distance", "repeats"), [(1, 2), (1, 4), (2, 3), (4, 2)])
def test_each_pair_says_the_same_and_no_two_meet(distance, repeats):
    tokens, labels = order_task(
        400, length=24, distance=distance, repeats=repeats, seed=1
    )
    assert 0.4 < labels.mean() < 0.6
    for sequence, label in zip(tokens, labels, strict=True):
        ones, twos = np.flatnonzero(sequence == 1), np.flatnonzero(sequence == 2)
        assert len(ones) == len(twos) == repeats
        apart = twos[:, None] - ones[None, :]
        near = np.abs(apart) <= distance
        assert near.sum() == repeats
        assert (apart[near] == (distance if label else -distance)).all()
        for places in (ones, twos):
            assert (np.diff(places) > 2 * distance).all()


def test_all_ways_to_place_the_pairs_are_equally_probable():
    count = 20_000
    tokens, labels = order_task(count, length=8, distance=1, repeats=2, seed=0)
    first = np.where(labels[:, None] == 1, tokens == 1, tokens == 2)
    found = Counter(tuple(np.flatnonzero(row)) for row in first)
    expected = {(a, b) for a, b in itertools.combinations(range(7), 2) if b - a > 2}
    assert set(found) == expected
    mean = count / len(expected)
    assert all(abs(n - mean) < 5 * mean**0.5 for n in found.values())


def test_a_sequence_full_of_pairs():
    tokens, _ = order_task(5, length=8, distance=1, repeats=3, seed=0)
    places = np.isin(tokens, (1, 2))
    assert (places == [1, 1, 0, 1, 1, 0, 1, 1]).all()


def test_pairs_without_room_are_refused():
    message = "length must be at least 8 .*length=7, distance=1, repeats=3"
    with pytest.raises(ValueError, match=message):
        order_task(5, length=7, repeats=3)
    with pytest.raises(ValueError, match=r"sequence_length must be at least 26 .*=9"):
        Config(data="order", repeats=9)
    with pytest.raises(ValueError, match="length of the shortest test must be at"):
        Config(data="order-lengths", sequence_length=50, repeats=9)
    with pytest.raises(ValueError, match=r"repeats must be a positive.*repeats=0"):
        load_order(repeats=0)


def test_repeats_reach_the_texts():
    data = order.load(Config(data="order", repeats=3))
    assert all(text.split().count("t1") == 3 for text in data.test.texts)
    assert Config(data="order", repeats=3).for_data().repeats == 3


def test_every_length_has_mirror_images_and_none_of_training():
    config = Config(data="order-lengths", distance=2)
    data = load_lengths(config)
    usual = load_order(distance=2)
    assert data.fingerprint == usual.fingerprint
    assert data.name == "order-lengths"
    assert list(data.tests) == ["24", "50", "100", "200", "400", "800"]
    swapped = str.maketrans("12", "21")
    for name, test in data.tests.items():
        assert len(test) == 1000
        assert {len(text.split()) for text in test.texts} == {int(name)}
        half = len(test) // 2
        pairs = zip(test.texts[:half], test.texts[half:], strict=True)
        for text, mirrored in pairs:
            exchanged = [
                word.translate(swapped) if word in ("t1", "t2") else word
                for word in text.split()
            ]
            assert exchanged == mirrored.split()
        assert (test.labels[:half] + test.labels[half:] == 1).all()
        places = [
            text.split().index("t1") < text.split().index("t2") for text in test.texts
        ]
        assert (np.array(places) == (test.labels == 1)).all()
    # Not even the words around the pair are those of a training sequence.
    fillers = {_without_pair(text) for text in data.train.texts}
    assert not any(_without_pair(text) in fillers for text in data.tests["24"].texts)


def _without_pair(text):
    return " ".join(word for word in text.split() if word not in ("t1", "t2"))
