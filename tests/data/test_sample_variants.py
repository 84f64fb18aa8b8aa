import itertools
import re
from collections import Counter

import numpy as np
import pytest

from diffattn import load_sample
from diffattn.data.ceiling import order_blind_ceiling
from diffattn.data.reviews import ReviewData, Reviews
from diffattn.data.sample_variants import (
    divide_pairs,
    load_sample_variant,
    seen_share,
)

PARTS = ("train", "validation", "test")
POSITIVE = {"bright", "clever", "fresh", "fun", "good", "lovely", "moving", "warm"}
NEGATIVE = {"bland", "clumsy", "cold", "dull", "flat", "silly", "slow", "tired"}
ADVERBS = {"very", "really", "quite", "so", "truly"}
BOTH_WAYS = [(False, False), (True, False), (False, True), (True, True)]


def words(text):
    """Independently of the package: letters only, tags gone."""
    return re.findall(r"[a-z]+", re.sub(r"<[^>]*>", " ", text.lower()))


def pairs_of(reviews):
    """Which adjectives stand together in a review."""
    found = set()
    for text in reviews.texts:
        adjectives = set(words(text)) & (POSITIVE | NEGATIVE)
        found |= {frozenset(p) for p in itertools.combinations(adjectives, 2)}
    return found


@pytest.mark.parametrize(
    "arguments", [{}, {"seed": 7, "train_reviews": 300, "order_share": 0.3}]
)
def test_without_a_variant_it_is_the_sample(arguments):
    assert load_sample_variant(**arguments).fingerprint == (
        load_sample(**arguments).fingerprint
    )


@pytest.mark.parametrize(("new_pairs", "adverb"), BOTH_WAYS)
def test_the_pairs_of_the_test_are_new_where_asked_for(new_pairs, adverb):
    data = load_sample_variant(new_pairs=new_pairs, adverb=adverb)
    seen = pairs_of(data.train) | pairs_of(data.validation)
    test = pairs_of(data.test)
    if new_pairs:
        assert not seen & test
        assert (len(seen), len(test)) == (95, 25)
    else:
        assert test <= seen
    for part in PARTS:
        used = {word for text in getattr(data, part).texts for word in words(text)}
        assert used >= POSITIVE | NEGATIVE


@pytest.mark.parametrize("seed", range(5))
def test_a_fifth_of_each_kind_of_pair_is_kept_for_the_test(seed):
    train, test = divide_pairs(seed)
    assert not train & test
    assert train | test == {
        frozenset(p) for p in itertools.combinations(POSITIVE | NEGATIVE, 2)
    }
    kinds = Counter(len(pair & POSITIVE) for pair in test)
    assert kinds == {2: 6, 0: 6, 1: 13}


def test_another_seed_keeps_other_pairs():
    assert divide_pairs(1)[1] != divide_pairs(2)[1]


@pytest.mark.parametrize(("new_pairs", "adverb"), BOTH_WAYS)
@pytest.mark.parametrize("share", [0.0, 0.2, 0.4])
def test_the_ceiling_is_exact(new_pairs, adverb, share):
    data = load_sample_variant(new_pairs=new_pairs, adverb=adverb, order_share=share)
    test = data.test
    assert test.labels.mean() == 0.5
    token_lists = [words(text) for text in test.texts]
    assert order_blind_ceiling(token_lists, test.labels) == 1 - share / 2
    # With their order seen, no two of the same words have different labels.
    ordered = [[" ".join(tokens)] for tokens in token_lists]
    assert order_blind_ceiling(ordered, test.labels) == 1


@pytest.mark.parametrize("new_pairs", [False, True])
def test_no_adjective_stands_beside_what_decides_it(new_pairs):
    data = load_sample_variant(new_pairs=new_pairs, adverb=True)
    used = Counter()
    for part in PARTS:
        reviews = getattr(data, part)
        for text, label in zip(reviews.texts, reviews.labels, strict=True):
            tokens = words(text)
            for i, word in enumerate(tokens):
                if word in POSITIVE | NEGATIVE:
                    assert tokens[i - 1] in ADVERBS
                    used[tokens[i - 1], label] += 1
            if "but" in tokens:
                verdict = tokens[tokens.index("but") + 1 :][:3]
                negated = verdict[0] == "not"
                assert ((verdict[1 + negated] in POSITIVE) != negated) == label
            else:
                (polarity,) = {
                    w in POSITIVE for w in tokens if w in POSITIVE | NEGATIVE
                }
                assert (polarity != ("not" in tokens)) == label
    # Each adverb equally often with either label: within five deviations.
    for adverb in ADVERBS:
        zero, one = used[adverb, 0], used[adverb, 1]
        assert zero + one > 1000
        assert abs(zero - one) < 5 * np.sqrt(zero + one)


def test_names_and_fingerprints():
    """The fingerprints were taken once; NumPy promises this stream for ever."""
    found = [load_sample_variant(new_pairs=n, adverb=a) for n, a in BOTH_WAYS]
    assert [data.name for data in found] == [
        "sample",
        "sample-new-pairs",
        "sample-adverb",
        "sample-new-pairs-adverb",
    ]
    assert [data.fingerprint[:8] for data in found] == [
        "7aee9694",
        "0ad709ef",
        "896d761b",
        "efc3826f",
    ]


def test_the_seen_share_of_a_case_small_enough_to_count():
    def reviews(*texts):
        return Reviews(np.array(texts, dtype=object), np.zeros(len(texts), "int32"))

    data = ReviewData(
        "sample",
        reviews("Good, but dull.", "Fun!"),
        reviews("Only here."),
        reviews("good<br />but DULL", "dull but good", "only here", "fun...", "fun"),
        "",
    )
    assert seen_share(data) == 3 / 5


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"order_share": 1}, "order_share must be a finite number"),
        ({"train_reviews": 0}, "train_reviews must be a positive"),
        ({"test_reviews": 0}, "test_reviews must be a positive"),
        ({"validation_split": 0}, "validation_split must be above 0"),
        ({"seed": -1}, "seed must be an integer of at least 0.*seed=-1"),
    ],
)
def test_bad_arguments_are_named(arguments, message):
    with pytest.raises(ValueError, match=message):
        load_sample_variant(**arguments)
