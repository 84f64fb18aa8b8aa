import itertools
from collections import Counter, defaultdict

import numpy as np
import pytest

from diffattn.data.ceiling import order_blind_ceiling
from diffattn.data.recall import load_recall, recall_ceiling

PARTS = ("train", "validation", "test")


def small(**changes):
    return load_recall(
        **{"pairs": 4, "train_sequences": 200, "test_sequences": 64, **changes}
    )


def looked_up(text, form):
    """Independently of the package: read the pairs into a dictionary."""
    words = text.split()
    if form == "slot":
        assert words.pop() == "slot"
    query = words.pop()
    assert len(words) % 2 == 0
    table = dict(zip(words[::2], words[1::2], strict=True))
    assert len(table) == len(words) // 2, "a key came twice"
    return int(table[query].removeprefix("v")), list(table), list(table.values())


@pytest.mark.parametrize("form", ["slot", "query"])
@pytest.mark.parametrize("repeat", [False, True])
@pytest.mark.parametrize(("pairs", "test_pairs"), [(4, 8), (8, 16), (5, 5), (32, 64)])
def test_the_label_is_the_value_of_the_queried_key(form, repeat, pairs, test_pairs):
    data = small(
        pairs=pairs,
        test_pairs=test_pairs,
        form=form,
        repeat_values=repeat,
        test_sequences=2 * test_pairs,
    )
    assert [len(getattr(data, part)) for part in PARTS] == [160, 40, 2 * test_pairs]
    for part in PARTS:
        reviews = getattr(data, part)
        for text, label in zip(reviews.texts, reviews.labels, strict=True):
            value, keys, values = looked_up(text, form)
            assert value == label
            assert len(keys) == (test_pairs if part == "test" else pairs)
            assert {key[0] for key in keys} == {"k"}
            if not repeat:
                assert len(set(values)) == len(values)


def test_keys_values_and_places_are_drawn_evenly():
    """Each count is binomial: within five deviations of its mean."""
    data = small(train_sequences=8000, repeat_values=True)
    keys, labels, places = Counter(), Counter(), Counter()
    for text in data.train.texts:
        label, its_keys, _ = looked_up(text, "slot")
        keys.update(its_keys)
        labels[label] += 1
        places[its_keys.index(text.split()[-2])] += 1
    for counts, count, share in (
        (keys, 6400, 4 / 16),
        (labels, 6400, 1 / 16),
        (places, 6400, 1 / 4),
    ):
        assert len(counts) == (4 if counts is places else 16)
        bound = 5 * np.sqrt(count * share * (1 - share))
        assert all(abs(n - count * share) < bound for n in counts.values())


@pytest.mark.parametrize("form", ["slot", "query"])
def test_a_group_has_the_same_words_and_each_answer_once(form):
    test = small(pairs=8, test_sequences=80, form=form).test
    groups = defaultdict(list)
    for text, label in zip(test.texts, test.labels, strict=True):
        words = text.split()
        groups[tuple(sorted(words)), words[-1]].append(label)
    assert len(groups) == 10
    for (words, _), answers in groups.items():
        assert sorted(f"v{a}" for a in answers) == sorted(
            word for word in words if word[0] == "v"
        )
    assert len({*test.texts}) == 80


@pytest.mark.parametrize("pairs", [1, 4, 16, 32])
def test_no_blind_model_exceeds_one_nth_on_the_test_set(pairs):
    test = small(pairs=pairs).test
    ceiling = order_blind_ceiling([text.split() for text in test.texts], test.labels)
    assert ceiling == recall_ceiling(pairs) == 1 / pairs


@pytest.mark.parametrize(("pairs", "values"), [(1, 2), (2, 2), (3, 2), (3, 5), (5, 3)])
def test_the_ceiling_with_repeated_values_equals_the_mean_over_all_draws(pairs, values):
    draws = list(itertools.product(range(values), repeat=pairs))
    mean = sum(max(Counter(draw).values()) for draw in draws) / len(draws)
    found = recall_ceiling(pairs, values=values, repeat_values=True)
    assert found == pytest.approx(mean / pairs, rel=1e-12)


def test_the_ceiling_of_a_test_set_lies_around_the_mean():
    test = small(pairs=8, repeat_values=True, test_sequences=8000).test
    found = order_blind_ceiling([text.split() for text in test.texts], test.labels)
    mean = recall_ceiling(8, values=16, repeat_values=True)
    draws = np.random.default_rng(0).integers(0, 16, (50_000, 8))
    most = (draws[:, :, None] == np.arange(16)).sum(1).max(1)
    assert mean == pytest.approx(most.mean() / 8, abs=5 * most.std() / 8 / 50_000**0.5)
    assert found == pytest.approx(mean, abs=0.01)


def test_the_training_texts_do_not_depend_on_the_test():
    one = small(keys=16, values=16)
    other = small(keys=16, values=16, test_pairs=16, test_sequences=32)
    for part in ("train", "validation"):
        assert getattr(one, part).texts.tolist() == getattr(other, part).texts.tolist()
    assert one.fingerprint != other.fingerprint


def test_the_same_seed_gives_the_same_texts_on_every_platform():
    """The fingerprint was taken once; NumPy promises this stream for ever."""
    assert small().fingerprint == small().fingerprint
    assert small().fingerprint[:16] == "b1b8d39d1dbb50d7"
    assert small(seed=7).fingerprint != small().fingerprint


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"pairs": 0}, "pairs must be a positive integer.*pairs=0"),
        ({"test_pairs": 0}, "test_pairs must be a positive integer.*test_pairs=0"),
        ({"form": "end"}, "form must be one of slot, query.*form='end'"),
        ({"keys": 3}, "keys must be an integer of at least 4.*keys=3"),
        ({"values": 3}, "values must be an integer of at least 4.*values=3"),
        ({"values": 1, "repeat_values": True}, "values must be .*at least 2.*values=1"),
        ({"test_sequences": 66}, "multiple of test_pairs.*=66, test_pairs=4"),
        ({"train_sequences": 0}, "train_sequences must be a positive"),
        ({"seed": -1}, "seed must be an integer.*seed=-1"),
    ],
)
def test_bad_arguments_are_named(arguments, message):
    with pytest.raises(ValueError, match=message):
        small(**arguments)
