import os
from pathlib import Path

import numpy as np
import pytest
from data_case import release_reviews

from diffattn import load_imdb
from diffattn.data.imdb import IMDB_VARIABLE
from diffattn.data.reviews import ReviewData, Reviews
from diffattn.data.shuffled import load_shuffled, shuffle_words
from diffattn.data.standardization import make_vectorizer, vectorize

PARTS = ("train", "validation", "test")
WORDS = ["a", "I", "the", "film", "Plot,", "was;", "“Été”", "good.", "bad!", "don't"]
WORDS += ["well-made<br />x", "£5"]


@pytest.fixture
def source(monkeypatch, tmp_path):
    """20 reviews in each folder of 5 to 60 words, some longer than the cut."""
    random = np.random.RandomState(0)
    folders = {
        f"{part}/{kind}": {
            f"{i}_1.txt": " ".join(random.choice(WORDS, random.randint(5, 61))).encode()
            for i in range(20)
        }
        for part in ("train", "test")
        for kind in ("neg", "pos")
    }
    return release_reviews(monkeypatch, tmp_path, folders)


def check_bags(ordered, shuffled, vocabulary_size, length, differing):
    """Both vectorizers have the same words, and each text the same bag of tokens."""
    sizes = vocabulary_size, length
    one, other = (make_vectorizer(d.train.texts, *sizes) for d in (ordered, shuffled))
    assert one.get_vocabulary() == other.get_vocabulary()
    for part in PARTS:
        a, b = getattr(ordered, part), getattr(shuffled, part)
        assert a.labels.tolist() == b.labels.tolist()
        a, b = vectorize(one, a.texts), vectorize(other, b.texts)
        assert (np.sort(a) == np.sort(b)).all()
        assert ((a == 0) == (b == 0)).all()
        assert (a != b).any(axis=1).mean() > differing


def test_ordered_and_shuffled_reviews_have_the_same_bags(source):
    ordered = load_imdb(source)
    shuffled = load_shuffled(source, sequence_length=30)
    assert shuffled.name == "imdb-shuffled"
    assert shuffled.fingerprint != ordered.fingerprint
    check_bags(ordered, shuffled, 9, 30, 0.9)
    assert any(len(text.split()) > 30 for text in shuffled.test.texts)


def test_only_the_words_before_the_cut_are_shuffled():
    text = " ".join(f"w{i}" for i in range(100))
    (found,) = shuffle_words([text], sequence_length=60)
    words = found.split()
    assert words[60:] == text.split()[60:]
    assert sorted(words[:60]) == sorted(text.split()[:60])
    moved = np.mean([a != b for a, b in zip(words, text.split(), strict=True)])
    assert moved > 0.5
    assert shuffle_words(["One, TWO"], sequence_length=1).tolist() == ["one two"]
    assert shuffle_words([""]).tolist() == [""]


def test_every_order_is_as_likely():
    """Six orders of three words, in 3,000 texts: each within five deviations."""
    texts = [f"{'w' * (i + 1)} b c" for i in range(3000)]
    found = shuffle_words(texts)
    orders = [tuple("w" if w[0] == "w" else w for w in t.split()) for t in found]
    counts = {order: orders.count(order) for order in set(orders)}
    assert len(counts) == 6
    assert all(abs(n - 500) < 5 * (3000 * 5 / 36) ** 0.5 for n in counts.values())


def test_a_texts_order_depends_on_nothing_but_itself_and_the_seed():
    texts = [f"a b c d e f g h i j k{i}" for i in range(20)]
    all_at_once = shuffle_words(texts).tolist()
    assert all_at_once == [shuffle_words([text])[0] for text in texts]
    assert shuffle_words(texts, seed=1).tolist() != all_at_once
    # Taken once; NumPy promises this stream for ever.
    assert shuffle_words(["a b c d e f g h"]).tolist() == ["a b h f c e g d"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"sequence_length": 0}, "sequence_length must be a positive.*=0"),
        ({"shuffle_seed": -1}, "shuffle_seed must be an integer.*shuffle_seed=-1"),
        ({"validation_split": 1}, "validation_split must be"),
    ],
)
def test_bad_arguments_are_named_before_anything_is_read(arguments, message):
    with pytest.raises(ValueError, match=message):
        load_shuffled("nowhere", **arguments)


@pytest.mark.skipif(
    not Path(os.environ.get(IMDB_VARIABLE, "")).is_file(),
    reason="DIFFATTN_IMDB names no copy of the real reviews",
)
def test_the_real_reviews_have_the_same_bags():
    """5,000 of them, a tenth of all, so that the test is short."""
    data = load_imdb()
    parts = [
        getattr(data, part)[:n]
        for part, n in zip(PARTS, (2000, 500, 2500), strict=True)
    ]
    ordered = ReviewData("imdb", *parts, "")
    parts = [Reviews(shuffle_words(part.texts), part.labels) for part in parts]
    shuffled = ReviewData("imdb-shuffled", *parts, "")
    check_bags(ordered, shuffled, 10_000, 250, 0.999)
