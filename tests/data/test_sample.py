import re
from collections import Counter

import numpy as np
import pytest

from diffattn import load_sample
from diffattn.data.ceiling import order_blind_ceiling
from diffattn.data.order import load_order, order_task


def words(text):
    """Split a text independently of the package: letters only, without tags."""
    return re.findall(r"[a-z]+", re.sub(r"<[^>]*>", " ", text.lower()))


def test_the_same_seed_gives_the_same_reviews_on_every_platform():
    """The stored fingerprint holds because NumPy has frozen this stream."""
    one = load_sample()
    assert one.fingerprint[:16] == "7aee9694a70a0901"
    assert load_sample().fingerprint == one.fingerprint
    assert load_sample(seed=7).fingerprint != one.fingerprint


def test_sizes_and_balance():
    data = load_sample(train_reviews=500, test_reviews=100, validation_split=0.3)
    sizes = [len(getattr(data, p)) for p in ("train", "validation", "test")]
    assert sizes == [350, 150, 100]
    assert data.test.labels.mean() == 0.5
    assert data.name == "sample"


@pytest.mark.parametrize("share", [0.0, 0.2, 0.4])
def test_order_alone_decides_the_given_share(share):
    """Every such review has its mirror image: same words, opposite label."""
    test = load_sample(order_share=share).test
    bags = {}
    for text, label in zip(test.texts, test.labels, strict=True):
        bags.setdefault(tuple(sorted(words(text))), Counter())[int(label)] += 1
    ambiguous = sum(sum(c.values()) for c in bags.values() if len(c) == 2)
    assert ambiguous == share * len(test)
    assert all(c[0] == c[1] for c in bags.values() if len(c) == 2)
    ceiling = order_blind_ceiling([words(t) for t in test.texts], test.labels)
    assert ceiling == 1 - share / 2


def test_the_ceiling_of_five_texts():
    texts = ["a b", "b a", "b a", "c", "c"]
    labels = [1, 0, 0, 1, 1]
    assert order_blind_ceiling([t.split() for t in texts], labels) == 4 / 5


def test_the_verdict_is_what_follows_the_but():
    positive = {"bright", "clever", "fresh", "fun", "good", "lovely", "moving", "warm"}
    test = load_sample().test
    judged = 0
    for text, label in zip(test.texts, test.labels, strict=True):
        if "but" not in words(text):
            continue
        verdict = words(text)[words(text).index("but") + 1 :][:2]
        negated = verdict[0] == "not"
        assert ((verdict[negated] in positive) != negated) == label
        judged += 1
    assert judged == 400


def test_breaks_capitals_and_punctuation_occur():
    texts = load_sample().train.texts
    for sign in ("<br /><br />", "<BR>", "!", "...", "NOT", ","):
        assert sum(sign in text for text in texts) > 20


@pytest.mark.parametrize("distance", [1, 2, 4])
def test_order_task(distance):
    tokens, labels = order_task(500, length=9, distance=distance, seed=3)
    assert tokens.shape == (500, 9)
    assert 0.4 < labels.mean() < 0.6
    for row, label in zip(tokens, labels, strict=True):
        (one,), (two,) = np.nonzero(row == 1)[0:1], np.nonzero(row == 2)[0:1]
        assert len(one) == len(two) == 1
        assert two[0] - one[0] == (distance if label else -distance)
    again = order_task(500, length=9, distance=distance, seed=3)[0]
    assert (tokens == again).all()


def test_the_texts_of_the_order_task_spell_its_tokens():
    data = load_order(length=9, distance=2, train_sequences=50, test_sequences=20)
    assert (len(data.train), len(data.validation), len(data.test)) == (40, 10, 20)
    for text, label in zip(data.train.texts, data.train.labels, strict=True):
        words = text.split()
        assert len(words) == 9
        assert words.index("t2") - words.index("t1") == (2 if label else -2)


def test_every_order_text_has_its_mirror_image_in_the_test_set():
    test = load_order().test
    swap = {"t1": "t2", "t2": "t1"}
    mirrored = [" ".join(swap.get(w, w) for w in t.split()) for t in test.texts]
    labels = dict(zip(test.texts, test.labels, strict=True))
    assert all(
        labels[m] == 1 - labels[t] for m, t in zip(mirrored, test.texts, strict=True)
    )
    assert order_blind_ceiling([t.split() for t in test.texts], test.labels) == 0.5


@pytest.mark.parametrize(
    ("function", "arguments", "message"),
    [
        (load_sample, {"order_share": 1}, "order_share must be a finite number"),
        (load_sample, {"train_reviews": 0}, "train_reviews must be a positive"),
        (load_sample, {"validation_split": 0}, "validation_split must be above 0"),
        (load_sample, {"seed": -1}, "seed must be an integer of at least 0.*seed=-1"),
        (load_order, {"test_sequences": 1}, "test_sequences must be an integer of at"),
        (load_order, {"test_sequences": 7}, "must be even.*test_sequences=7"),
        (load_order, {"seed": 2**32}, "seed must be an integer.*seed=4294967296"),
        (order_task, {"count": 3, "seed": -1}, "seed must be an integer.*seed=-1"),
        (order_task, {"count": 3, "distance": 24}, "distance must be a positive"),
        (order_task, {"count": 3, "vocabulary_size": 3}, "vocabulary_size must be"),
    ],
)
def test_invalid_arguments_are_named(function, arguments, message):
    with pytest.raises(ValueError, match=message):
        function(**arguments)
