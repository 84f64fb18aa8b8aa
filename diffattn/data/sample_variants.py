"""Variants of the built-in reviews that ask more than the plain ones.

One keeps pairs of adjectives for the test, so that what was learned by heart is of no
use; one puts an adverb before each adjective, so that the deciding words aren't
neighbours. `seen_share` measures how much of a test set training has seen already.
"""

import itertools
from typing import TYPE_CHECKING

import numpy as np

from diffattn.checks import check_int, check_number
from diffattn.data.reviews import ReviewData, Reviews, split
from diffattn.data.sample import (
    _ADJECTIVES,
    _ASPECTS,
    _OPINIONS,
    _asides,
    _dress,
    _pick,
    _several,
)
from diffattn.data.texts import standardized_words, text_fingerprint

if TYPE_CHECKING:
    from diffattn.training.config import Config

_ADVERBS = ("very", "really", "quite", "so", "truly")
#: The share of all pairs of adjectives that is kept for the test.
_TEST_PAIRS = 0.2


def load_sample_variant(
    *,
    new_pairs: bool = False,
    adverb: bool = False,
    train_reviews: int = 5000,
    test_reviews: int = 1000,
    order_share: float = 0.4,
    validation_split: float = 0.2,
    seed: int = 42,
) -> ReviewData:
    """Generate film reviews like `load_sample`, made harder in one way or in both.

    Without either, these are the reviews of `load_sample`, text for text.

    new_pairs: no two adjectives that stand together in a review of the test set stand
    together in any review of train or validation, in whatever order. Each adjective by
    itself is in both. A fifth of the 120 pairs is kept for the test, and a fifth of
    the pairs of two positive, of two negative and of unlike adjectives each; the seed
    decides which.

    adverb: each adjective has an adverb before it: "not very good, but really fun"
    against "very good, but not really fun", "so dull, but quite good" against "so
    good, but quite dull". So neither "not" nor "but" is a neighbour of the adjective
    that it concerns. Adverbs say nothing of the label.

    Every review that is decided by order has its mirror image in the same part before
    the split: the same words, the opposite label. All others carry their label in
    their words. So the ceiling of models that are blind to order on the test set is
    exactly 1 − p/N, where N is `test_reviews` and p = round(order_share · N / 2) is
    the number of mirrored pairs: 0.8 by default, as for `load_sample`.

    Args:
        new_pairs: bool.
        adverb: bool.
        train_reviews, test_reviews, order_share, validation_split, seed: as for
            `load_sample`.

    Returns:
        A `ReviewData` of the name "sample", with "-new-pairs" and "-adverb" appended
        where these are asked for.

    Raises:
        ValueError: if a number is out of its bounds.
    """
    check_int("train_reviews", train_reviews)
    check_int("test_reviews", test_reviews)
    check_number("order_share", order_share, 0, 1)
    check_int("seed", seed, 0, 2**32)
    train_pairs = test_pairs = None
    if new_pairs:
        train_pairs, test_pairs = divide_pairs(seed)
    # RandomState's stream is frozen: NumPy promises never to change it.
    random = np.random.RandomState(seed)
    train = _Writer(random, train_pairs, adverb).write(train_reviews, order_share)
    test = _Writer(random, test_pairs, adverb).write(test_reviews, order_share)
    name = "sample" + "-new-pairs" * new_pairs + "-adverb" * adverb
    fingerprint = text_fingerprint((train, test))
    return split(name, train, test, validation_split, seed, fingerprint)


def load_new_pairs(config: "Config", progress: bool = False) -> ReviewData:
    """Load the reviews with new pairs in the test, split as a `Config` says."""
    return load_sample_variant(
        new_pairs=True, validation_split=config.validation_split, seed=config.split_seed
    )


def load_adverb(config: "Config", progress: bool = False) -> ReviewData:
    """Load the reviews with adverbs, split as a `Config` says."""
    return load_sample_variant(
        adverb=True, validation_split=config.validation_split, seed=config.split_seed
    )


def divide_pairs(seed: int) -> tuple[set[frozenset[str]], set[frozenset[str]]]:
    """Divide the pairs of adjectives into those of training and those of the test.

    Args:
        seed: int, decides which.

    Returns:
        (train, test): disjoint sets of frozensets of two adjectives, a fifth of each
        kind (both positive, both negative, unlike) in test.
    """
    random = np.random.RandomState(seed)
    negative, positive = _ADJECTIVES[0], _ADJECTIVES[1]
    train, test = set(), set()
    for pairs in (
        list(itertools.combinations(positive, 2)),
        list(itertools.combinations(negative, 2)),
        list(itertools.product(positive, negative)),
    ):
        order = random.permutation(len(pairs))
        border = round(_TEST_PAIRS * len(pairs))
        test |= {frozenset(pairs[i]) for i in order[:border]}
        train |= {frozenset(pairs[i]) for i in order[border:]}
    return train, test


def seen_share(data: ReviewData) -> float:
    """Compute the share of the test reviews that are among the training reviews.

    Reviews are the same if their words are, after `custom_standardization`, in the
    same order. Validation reviews don't count as seen.

    Args:
        data: a `ReviewData`.

    Returns:
        The share, a float in [0, 1].
    """
    train = {tuple(words) for words in standardized_words(data.train.texts)}
    test = standardized_words(data.test.texts)
    return sum(tuple(words) in train for words in test) / len(test)


class _Writer:
    """Writes reviews as `diffattn.data.sample` does, draw for draw."""

    def __init__(self, random, pairs, adverb):
        self.random, self.pairs, self.adverb = random, pairs, adverb

    def write(self, count, order_share):
        """`count` reviews in random order, as many positive as negative."""
        mirrored = round(order_share * count / 2)
        reviews = [review for _ in range(mirrored) for review in self._mirror_images()]
        reviews += [
            self._wordy(label=i % 2, negated=i % 8 > 5)
            for i in range(count - 2 * mirrored)
        ]
        order = self.random.permutation(count)
        texts = np.array([text for text, _ in reviews], dtype=object)
        labels = np.array([label for _, label in reviews], dtype="int32")
        return Reviews(texts[order], labels[order])

    def _wordy(self, label, negated):
        """A review whose words decide: one or two opinions, all negated or none."""
        words = _ADJECTIVES[1 - label if negated else label]
        aspects = _several(self.random, _ASPECTS, self.random.randint(1, 3))
        adjectives = self._draw(lambda: _several(self.random, words, len(aspects)))
        sentences = []
        for aspect, word in zip(aspects, adjectives, strict=True):
            frame = _pick(self.random, _OPINIONS)
            (adverb,) = self._adverbs(1)
            said = f"{adverb}{word}"
            sentences.append(frame.format(aspect, f"not {said}" if negated else said))
        return _dress(self.random, sentences + _asides(self.random)), label

    def _mirror_images(self):
        """Two reviews of the same words and opposite labels."""
        first, second = self.random.randint(0, 2, size=2)
        if first == second:
            a, b = self._draw(lambda: _several(self.random, _ADJECTIVES[first], 2))
            u, v = self._adverbs(2)
            opinions = {
                first: f"not {u}{a}, but {v}{b}",
                1 - first: f"{u}{a}, but not {v}{b}",
            }
        else:
            a, b = self._draw(
                lambda: [_pick(self.random, _ADJECTIVES[x]) for x in (first, second)]
            )
            u, v = self._adverbs(2)
            opinions = {second: f"{u}{a}, but {v}{b}", first: f"{u}{b}, but {v}{a}"}
        frame = _pick(self.random, _OPINIONS)
        aspect = _pick(self.random, _ASPECTS)
        asides = _asides(self.random)
        return [
            (_dress(self.random, [frame.format(aspect, opinion), *asides]), label)
            for label, opinion in sorted(opinions.items())
        ]

    def _draw(self, draw):
        """What `draw` gives, drawn again while it is a pair that isn't permitted."""
        while True:
            adjectives = draw()
            if self.pairs is None or len(adjectives) < 2:
                return adjectives
            if frozenset(adjectives) in self.pairs:
                return adjectives

    def _adverbs(self, count):
        """Different adverbs with a space behind each; empty if none are wanted."""
        if not self.adverb:
            return [""] * count
        return [f"{word} " for word in _several(self.random, _ADVERBS, count)]
