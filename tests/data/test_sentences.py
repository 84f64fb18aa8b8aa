import itertools
import os
import re
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

# The stand-in for the archive: `small` puts its fingerprint in the real one's place.
from data_case import release_reviews

from diffattn.data.ceiling import order_blind_ceiling
from diffattn.data.imdb import IMDB_VARIABLE
from diffattn.data.sentences import (
    _swap_some,
    describe_swaps,
    find_sentences,
    load_sentences,
    swapped_pairs,
)
from diffattn.data.standardization import make_vectorizer
from diffattn.errors import DataError
from diffattn.studies.results import project_results, read_results

PARTS = ("train", "validation", "test")
WORDS = [a + b for a in "bdfgklmnprst" for b in ("a", "e", "ig", "ol", "un")]


def made_up_reviews():
    """40 reviews in each folder, of ten sentences each, in words of our own.

    One sentence is in all reviews, so that it must not be in the data.
    """
    random = np.random.RandomState(0)

    def sentence():
        return " ".join(random.choice(WORDS, random.randint(4, 30)))

    def review():
        signs = random.choice([". ", "! ", "?<br /><br />", "... "], 10)
        text = "".join(sentence() + sign for sign in signs)
        return (text + "All of us say this one in each review.").encode()

    return {
        f"{part}/{kind}": {f"{i}_1.txt": review() for i in range(40)}
        for part in ("train", "test")
        for kind in ("neg", "pos")
    }


@pytest.fixture
def source(monkeypatch, tmp_path):
    return release_reviews(monkeypatch, tmp_path, made_up_reviews())


def load(source, **changes):
    sizes = {"train_sentences": 200, "test_sentences": 50}
    return load_sentences(source, **{**sizes, **changes})


def sentences_of(folders, part):
    """Independently of the package: made-up words have no signs in them."""
    texts = [
        text.decode().lower()
        for folder, files in folders.items()
        if folder.startswith(part)
        for text in files.values()
    ]
    plain = [re.sub(r"<[^>]*>", " ", text) for text in texts]
    return [" ".join(s.split()) for text in plain for s in re.split(r"[.!?]+", text)]


def test_a_sentence_ends_at_its_sign_and_has_the_projects_words():
    text = (
        "One, two (three) four! Five six<br /><br />seven eight?? A well-made thing "
        'is here... <a href="x.html?y=1">Link</a> of three words'
    )
    assert find_sentences([text], min_words=4, max_words=5) == [
        "one two three four",
        "five six seven eight",
        "a wellmade thing is here",
        "link of three words",
    ]
    assert find_sentences(["", "..."]) == []
    comment = "One two three four <!-- no. not! this? --> five."
    assert find_sentences([comment], min_words=1) == ["one two three four five"]


def test_lengths_are_as_asked_for():
    text = ". ".join(" ".join("w" * n) for n in range(30))
    found = [len(s.split()) for s in find_sentences([text])]
    assert found == list(range(8, 26))


@pytest.mark.parametrize("distance", [1, 2, 4])
def test_both_forms_of_each_sentence_stand_side_by_side(distance, source):
    folders = made_up_reviews()
    data = load(source, distance=distance)
    assert data.name == "sentences"
    assert [len(getattr(data, part)) for part in PARTS] == [320, 80, 100]
    common = set(sentences_of(folders, "train")) & set(sentences_of(folders, "test"))
    assert len(common) > 0
    for part in PARTS:
        reviews = getattr(data, part)
        assert reviews.labels.tolist() == [1, 0] * (len(reviews) // 2)
        real = set(sentences_of(folders, "test" if part == "test" else "train"))
        for written, swapped in zip(
            reviews.texts[::2], reviews.texts[1::2], strict=True
        ):
            assert written in real - common
            assert 8 <= len(written.split()) <= 25
            one, other = written.split(), swapped.split()
            i, j = (k for k, word in enumerate(one) if word != other[k])
            assert j - i == distance
            assert (one[i], one[j]) == (other[j], other[i])
            assert swapped not in real
        words = [text.split() for text in reviews.texts]
        assert order_blind_ceiling(words, reviews.labels) == 0.5
    texts = [text for part in PARTS for text in getattr(data, part).texts]
    assert len(set(texts)) == len(texts)


def test_what_somebody_wrote_is_never_called_swapped(monkeypatch, tmp_path):
    """Two sentences that differ by a swap: neither is the swapped form of the other."""
    written = {
        "train/neg": ["b k c d e f g h", "a b c d e f g h"],
        "train/pos": ["k b c d e f g h", "same same same same same b b b"],
        "test/neg": ["x b c d e f g h"],
        "test/pos": ["b x c d e f g h"],
    }
    folders = {  # and short reviews, so that there are enough to be split
        folder: {
            f"{i}_1.txt": text.encode()
            for i, text in enumerate(sentences + ["short"] * (5 - len(sentences)))
        }
        for folder, sentences in written.items()
    }
    source = release_reviews(monkeypatch, tmp_path, folders)
    for seed in range(30):
        data = load(
            source,
            train_sentences=4,
            test_sentences=2,
            validation_split=0.25,
            seed=seed,
        )
        texts = [text for part in PARTS for text in getattr(data, part).texts]
        labels = [int(n) for part in PARTS for n in getattr(data, part).labels]
        assert sorted(texts[::2]) == sorted(itertools.chain(*written.values()))
        assert labels == [1, 0] * 6
        assert not set(texts[::2]) & set(texts[1::2])


def test_a_word_with_a_sign_that_python_splits_at_stays_whole():
    """U+0085 is white space to Python and none to TensorFlow's split."""
    odd = "b\x85c"
    random = np.random.RandomState(0)
    found = _swap_some(random, [f"a {odd}"], {f"a {odd}"}, 1, 1, "train")
    assert found.texts.tolist() == [f"a {odd}", f"{odd} a"]
    assert swapped_pairs(found) == [("a", odd)]


def test_every_place_is_as_likely(source):
    """Their mean lies in the middle of the sentences, within five deviations."""
    data = load(source)
    places = []
    for a, b in zip(data.train.texts[::2], data.train.texts[1::2], strict=True):
        a, b = a.split(), b.split()
        first = next(k for k, word in enumerate(a) if word != b[k])
        places.append((first + 0.5) / (len(a) - 1))
    assert abs(np.mean(places) - 0.5) < 5 * np.sqrt(1 / 12 / len(places))
    assert min(places) < 0.15
    assert max(places) > 0.85


def test_each_distance_has_the_same_sentences(source):
    near, far = (load(source, distance=d) for d in (1, 4))
    for part in PARTS:
        one, other = (getattr(data, part).texts[::2].tolist() for data in (near, far))
        assert one == other
    assert near.fingerprint != far.fingerprint


def test_the_seed_decides(source):
    one, again, other = (load(source, seed=seed) for seed in (1, 1, 2))
    assert one.fingerprint == again.fingerprint != other.fingerprint
    assert one.train.texts.tolist() == again.train.texts.tolist()
    assert set(one.test.texts) != set(other.test.texts)


def test_the_same_seed_gives_the_same_texts_on_every_platform(source):
    """The fingerprint was taken once; NumPy promises this stream for ever."""
    assert load(source).fingerprint[:16] == "80f7cdfc809895dd"


def test_what_training_has_seen_of_the_swapped_words(source):
    data = load(source, distance=2)
    found = describe_swaps(data, distance=2, vocabulary_size=40)
    vectorizer = make_vectorizer(data.train.texts, 40, 25)
    known = set(vectorizer.get_vocabulary()) - {"", "[UNK]"}
    assert len(known) == 38
    wanted = Counter()
    for written, swapped in zip(
        data.test.texts[::2], data.test.texts[1::2], strict=True
    ):
        words = written.split()
        i = next(k for k, w in enumerate(words) if w != swapped.split()[k])
        a, b = words[i], words[i + 2]
        seen = rf"(^| ){a} \w+ {b}( |$)", rf"(^| ){b} \w+ {a}( |$)"
        for name, pattern in zip(("pair_seen", "reverse_seen"), seen, strict=True):
            wanted[name] += any(re.search(pattern, t) for t in data.train.texts[::2])
        wanted["unknown"] += a not in known or b not in known
        wanted["invisible"] += a not in known and b not in known
        same = (vectorizer([written]) == vectorizer([swapped])).numpy().all()
        assert same == (a not in known and b not in known)
    assert found == {name: wanted[name] / 50 for name in found}
    assert 0 < found["invisible"] < found["unknown"] < 1
    assert 0 < found["pair_seen"] < 1


def test_swapped_pairs_are_in_the_order_of_the_one_who_wrote(source):
    test = load(source).test
    for (first, second), text in zip(swapped_pairs(test), test.texts[::2], strict=True):
        assert f" {first} {second} " in f" {text} "


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"distance": 0}, "distance must be a positive integer.*distance=0"),
        (
            {"min_words": 3, "distance": 3},
            "min_words must be .*at least 4.*min_words=3",
        ),
        ({"max_words": 7}, "max_words must be an integer of at least 8.*max_words=7"),
        ({"train_sentences": 1}, "train_sentences must be .*train_sentences=1"),
        ({"test_sentences": 0}, "test_sentences must be .*test_sentences=0"),
        ({"validation_split": 0}, "validation_split must be above 0"),
        ({"validation_split": 0.001}, "validation_split=0.001 of 200 sentences"),
        ({"seed": -1}, "seed must be an integer.*seed=-1"),
    ],
)
def test_bad_arguments_are_named_before_anything_is_read(arguments, message):
    with pytest.raises(ValueError, match=message):
        load("nowhere", **arguments)


def test_too_few_sentences_are_told(source):
    with pytest.raises(DataError, match=r"the test reviews have \d+ sentences.*=5000"):
        load(source, test_sentences=5000)


@pytest.mark.skipif(
    not Path(os.environ.get(IMDB_VARIABLE, "")).is_file(),
    reason="DIFFATTN_IMDB names no copy of the real reviews",
)
def test_the_real_reviews():
    data = load_sentences()
    assert [len(getattr(data, part)) for part in PARTS] == [60_000, 15_000, 10_000]
    words = [text.split() for text in data.test.texts]
    assert order_blind_ceiling(words, data.test.labels) == 0.5
    texts = [text for part in PARTS for text in getattr(data, part).texts]
    assert len(set(texts)) == len(texts)
    assert {len(text.split(" ")) for text in texts} == set(range(8, 26))
    assert describe_swaps(data)["invisible"] < 0.01
    # The stored results are of these sentences.
    runs = read_results(project_results() / "sentences" / "distance-1")
    made_from = {origin["data"]["fingerprint"] for origin in runs["provenance"]}
    assert made_from == {data.fingerprint}
