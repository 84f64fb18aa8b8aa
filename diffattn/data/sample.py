"""Generate short film reviews, some of which only word order decides.

A small grammar writes them. In most, the words decide the label; in a given share,
only their order does. Each of those comes with its mirror image: the same words, the
opposite label. A model that cannot see order gets one of the two wrong, so
`order_blind_ceiling` is the best that it can reach. These reviews are for learning and
testing, never a stand-in for IMDB in a result.
"""

from typing import TYPE_CHECKING

import numpy as np

from diffattn.checks import check_int, check_number
from diffattn.data.ceiling import order_blind_ceiling
from diffattn.data.reviews import ReviewData, Reviews, split_generated

if TYPE_CHECKING:
    from diffattn.training.config import Config

_ASPECTS = (
    "the acting", "the cast", "the dialogue", "the ending", "the music",
    "the pace", "the photography", "the plot", "the score", "the story",
)  # fmt: skip
_ADJECTIVES = {
    1: ("bright", "clever", "fresh", "fun", "good", "lovely", "moving", "warm"),
    0: ("bland", "clumsy", "cold", "dull", "flat", "silly", "slow", "tired"),
}
_ASIDES = (
    "I saw it on a Sunday", "we watched it at home", "it runs for two hours",
    "my sister chose it", "it was shot by the sea", "the room was half full",
    "it came out last spring", "we had seats in the third row",
)  # fmt: skip
_OPINIONS = ("{0} was {1}", "{0} is {1}", "I found {0} {1}", "{1}, {0}", "{1}")
_BREAKS = (" ", " ", " ", "<br /><br />", "<BR>")


def load_sample(
    *,
    train_reviews: int = 5000,
    test_reviews: int = 1000,
    order_share: float = 0.4,
    validation_split: float = 0.2,
    seed: int = 42,
) -> ReviewData:
    """Generate film reviews, the same on every platform for the same seed.

    Most have one or two opinions, whose words decide the label: "The plot was dull.",
    or in every fourth of them "The plot was not dull.". In a given share, word order
    alone decides, because the verdict is what follows the "but": "not good, but fun"
    against "good, but not fun", or "dull, but good" against "good, but dull". Asides,
    HTML breaks, capitals and punctuation are mixed in.

    Args:
        train_reviews: int, number of reviews in train and validation together.
        test_reviews: int, number of reviews in test.
        order_share: share of reviews decided by word order alone, in [0, 1).
        validation_split: share of `train_reviews` set aside, in (0, 1).
        seed: int, for the grammar's choices and the split.

    Returns:
        A `diffattn.data.reviews.ReviewData`. The test set has the mirror image of each
        of its reviews that order decides.

    Raises:
        ValueError: if a number is out of its bounds.
    """
    check_int("train_reviews", train_reviews)
    check_int("test_reviews", test_reviews)
    check_number("order_share", order_share, 0, 1)
    check_int("seed", seed, 0, 2**32)
    # RandomState's stream is frozen: NumPy promises never to change it.
    random = np.random.RandomState(seed)
    train = _write(random, train_reviews, order_share)
    test = _write(random, test_reviews, order_share)
    return split_generated("sample", train, test, validation_split, seed)


def sample_ceiling() -> float:
    """Compute `order_blind_ceiling` for the tokens of the sample's test reviews."""
    # Imported here because generating texts does not need TensorFlow.
    from diffattn.data.standardization import custom_standardization

    test = load_sample().test
    words = [text.split() for text in custom_standardization(test.texts).numpy()]
    return order_blind_ceiling(words, test.labels)


def _write(random, count, order_share):
    """Write `count` reviews in random order, half of them positive."""
    pairs = round(order_share * count / 2)
    reviews = [review for _ in range(pairs) for review in _mirror_images(random)]
    reviews += [
        _plain_review(random, label=i % 2, negated=i % 8 > 5)
        for i in range(count - 2 * pairs)
    ]
    order = random.permutation(count)
    texts = np.array([text for text, _ in reviews], dtype=object)
    labels = np.array([label for _, label in reviews], dtype="int32")
    return Reviews(texts[order], labels[order])


def _plain_review(random, label, negated):
    """Write a review decided by its words: one or two opinions, all negated or none."""
    words = _ADJECTIVES[1 - label if negated else label]
    aspects = _several(random, _ASPECTS, random.randint(1, 3))
    adjectives = _several(random, words, len(aspects))
    sentences = [
        _pick(random, _OPINIONS).format(aspect, f"not {word}" if negated else word)
        for aspect, word in zip(aspects, adjectives, strict=True)
    ]
    return _dress(random, sentences + _asides(random)), label


def _mirror_images(random):
    """Write two reviews with the same words and opposite labels."""
    first, second = random.randint(0, 2, size=2)
    if first == second:
        a, b = _several(random, _ADJECTIVES[first], 2)
        opinions = {first: f"not {a}, but {b}", 1 - first: f"{a}, but not {b}"}
    else:
        a = _pick(random, _ADJECTIVES[first])
        b = _pick(random, _ADJECTIVES[second])
        opinions = {second: f"{a}, but {b}", first: f"{b}, but {a}"}
    frame = _pick(random, _OPINIONS)
    aspect = _pick(random, _ASPECTS)
    asides = _asides(random)
    return [
        (_dress(random, [frame.format(aspect, opinion), *asides]), label)
        for label, opinion in sorted(opinions.items())
    ]


def _asides(random):
    return _several(random, _ASIDES, random.randint(0, 3))


def _dress(random, sentences):
    """Join sentences in random order, with capitals, punctuation and breaks."""
    text = ""
    for i in random.permutation(len(sentences)):
        sentence = sentences[i][0].upper() + sentences[i][1:]
        if random.randint(10) == 0:
            sentence = sentence.upper()
        text += (
            sentence + _pick(random, (".", ".", "!", "...")) + _pick(random, _BREAKS)
        )
    return text.strip()


def _pick(random, choices):
    return choices[random.randint(len(choices))]


def _several(random, choices, count):
    return [choices[i] for i in random.permutation(len(choices))[:count]]


def load(config: "Config", progress: bool = False) -> ReviewData:
    """Load the built-in reviews, split as a `Config` says."""
    return load_sample(validation_split=config.validation_split, seed=config.split_seed)
