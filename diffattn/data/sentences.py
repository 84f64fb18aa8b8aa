"""Real sentences with two words swapped: which one did a person write?

After the bigram shift of Conneau, Kruszewski, Lample, Barrault and Baroni, *What you
can cram into a single $&!#* vector*, ACL 2018, arXiv:1805.01070: there two adjacent
words are swapped in half of the sentences. Here each sentence is in the data in both
forms, so that a model blind to order is right in exactly one half.
"""

import os
import re
from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from diffattn.checks import check_int, check_validation_split
from diffattn.data.imdb import load_imdb
from diffattn.data.reviews import ReviewData, Reviews
from diffattn.data.texts import standardized_words, text_fingerprint
from diffattn.errors import DataError

if TYPE_CHECKING:
    from diffattn.training.config import Config

#: The shortest and the longest sentences, in words.
MIN_WORDS, MAX_WORDS = 8, 25

#: A sentence ends here. "<!" begins a comment or a declaration and ends none.
_END = re.compile(r"(?<!<)[.!?]+")
# A word of our own carries the ends through the standardization, which removes
# punctuation, and removes what stands inside of a tag.
_END_WORD = "zzsentenceendzz"
# Sentences are split again at " " alone: str.split also splits at signs that are no
# white space to TensorFlow, such as U+0085.


def load_sentences(
    source: str | os.PathLike | None = None,
    *,
    distance: int = 1,
    min_words: int = MIN_WORDS,
    max_words: int = MAX_WORDS,
    train_sentences: int = 37_500,
    test_sentences: int = 5_000,
    validation_split: float = 0.2,
    seed: int = 42,
    progress: bool = False,
) -> ReviewData:
    """Load sentences of the IMDB reviews, each as written and with two words swapped.

    Training and validation sentences come from the training reviews, test sentences
    from the test reviews. No sentence comes twice, and none that is in both is in
    the data. The two words stand `distance` apart, at a place drawn at random among
    those where they differ and where the result isn't itself a sentence of a review.

    The two forms of a sentence are neighbours, first the one as written: texts 2i and
    2i + 1 of each part have the same words and the labels 1 and 0. They are never
    split between training and validation. So the ceiling of models that are blind to
    order is exactly one half in each part. The texts are standardized words joined by
    spaces. The same seed draws the same sentences for every distance (but for the few
    sentences that have no place to swap).

    Args:
        source: the data set's archive or folder, as for `load_imdb`.
        distance: int, how far apart the swapped words are, 1 for neighbours.
        min_words, max_words: ints, the shortest and the longest sentences.
        train_sentences: int, sentences in train and validation together; with the
            default split 30,000 are for training, which makes 60,000 texts.
        test_sentences: int, sentences in test, each in two texts.
        validation_split: share of `train_sentences` set aside, in (0, 1).
        seed: int, of the choice of sentences, the places and the split.
        progress: bool, whether to show how far reading is.

    Returns:
        A `ReviewData` of the name "sentences"; label 1 is as written, 0 swapped.

    Raises:
        DataError: as `load_imdb`, or if there are fewer sentences than wanted.
        ValueError: if a number is out of its bounds.
    """
    check_int("distance", distance)
    check_int("min_words", min_words, distance + 1)
    check_int("max_words", max_words, min_words)
    check_int("train_sentences", train_sentences, 2)
    check_int("test_sentences", test_sentences)
    check_validation_split(validation_split)
    check_int("seed", seed, 0, 2**32)
    validation_count = int(validation_split * train_sentences)
    if not 0 < validation_count < train_sentences:
        raise DataError(
            f"validation_split={validation_split} of {train_sentences} sentences "
            "leaves none for training or none for validation"
        )
    reviews = load_imdb(source, progress=progress)
    train_texts = np.concatenate([reviews.train.texts, reviews.validation.texts])
    found = {
        part: set(find_sentences(texts, min_words=min_words, max_words=max_words))
        for part, texts in (("train", train_texts), ("test", reviews.test.texts))
    }
    written = found["train"] | found["test"]
    both = found["train"] & found["test"]
    random = np.random.RandomState(seed)
    # Sorted, for the order of a set differs from process to process; both drawn before
    # any place is, so that they are the same for every distance.
    train_found, test_found = (
        np.array(sorted(found[part] - both), dtype=object) for part in ("train", "test")
    )
    random.shuffle(train_found)
    random.shuffle(test_found)
    train = _swap_some(random, train_found, written, distance, train_sentences, "train")
    test = _swap_some(random, test_found, written, distance, test_sentences, "test")
    fingerprint = text_fingerprint((train, test))
    border = 2 * (train_sentences - validation_count)
    return ReviewData("sentences", train[:border], train[border:], test, fingerprint)


def find_sentences(
    texts: Sequence[str] | np.ndarray,
    *,
    min_words: int = MIN_WORDS,
    max_words: int = MAX_WORDS,
) -> list[str]:
    """Find the sentences in texts.

    A sentence ends at each run of the signs ".", "!" and "?" outside of HTML tags, and
    at the text's end. That is simple, and cuts at abbreviations and decimals ("Mr.
    Smith", "7.5") as well. Its words are those of `custom_standardization`.

    Args:
        texts: sequence of str, the reviews as they are.
        min_words, max_words: ints, sentences of other lengths are left out.

    Returns:
        A list of str: words joined by single spaces, in the order of the texts.
    """
    marked = [_END.sub(f" {_END_WORD} ", text) for text in texts]
    sentences = []
    for words in standardized_words(marked):
        start = 0
        for end, word in enumerate([*words, _END_WORD]):
            if word == _END_WORD:
                if min_words <= end - start <= max_words:
                    sentences.append(" ".join(words[start:end]))
                start = end + 1
    return sentences


def swapped_pairs(reviews: Reviews) -> list[tuple[str, str]]:
    """Find the two words that were swapped in each sentence of `load_sentences`.

    Args:
        reviews: a part of the data, its texts in pairs.

    Returns:
        A list of (first, second), in the order in which a person wrote them, one for
        every two texts.
    """
    pairs = []
    for written, swapped in zip(reviews.texts[::2], reviews.texts[1::2], strict=True):
        first, second = (
            a
            for a, b in zip(written.split(" "), swapped.split(" "), strict=True)
            if a != b
        )
        pairs.append((first, second))
    return pairs


def describe_swaps(
    data: ReviewData, *, distance: int = 1, vocabulary_size: int = 10_000
) -> dict[str, float]:
    """Compute what training has seen of the swapped words in the test set.

    Args:
        data: what `load_sentences` returns.
        distance: int, the one that the data were made with.
        vocabulary_size: int, as for `make_vectorizer`.

    Returns:
        A dict of shares of the test sentences:
        "pair_seen": the two words stand so in a training sentence as written, as far
        apart; "reverse_seen": the other way round; "unknown": one of them or both are
        outside the vocabulary; "invisible": both are, so that the two texts have the
        same tokens and no model can tell them apart.
    """
    written = [text.split(" ") for text in data.train.texts[::2]]
    seen = {
        pair
        for words in written
        for pair in zip(words[:-distance], words[distance:], strict=True)
    }
    counts = Counter(word for words in written for word in words)
    # As TextVectorization: two tokens are padding and the unknown word; of words
    # that are equally frequent, the last in the alphabet come first.
    ranked = sorted(counts, key=lambda word: (counts[word], word), reverse=True)
    known = set(ranked[: vocabulary_size - 2])
    pairs = swapped_pairs(data.test)

    def share(holds):
        return sum(holds) / len(pairs)

    return {
        "pair_seen": share(pair in seen for pair in pairs),
        "reverse_seen": share(pair[::-1] in seen for pair in pairs),
        "unknown": share(not known.issuperset(pair) for pair in pairs),
        "invisible": share(known.isdisjoint(pair) for pair in pairs),
    }


def _swap_some(random, sentences, written, distance, count, part):
    """The first `count` sentences that can be swapped, in both forms."""
    texts = []
    for sentence in sentences:
        if len(texts) == 2 * count:
            break
        swapped = _swap(random, sentence.split(" "), written, distance)
        if swapped is not None:
            texts += [sentence, swapped]
    if len(texts) < 2 * count:
        raise DataError(
            f"the {part} reviews have {len(texts) // 2:,} sentences of this kind. "
            f"Received: {part}_sentences={count}"
        )
    labels = np.tile(np.array([1, 0], dtype="int32"), count)
    return Reviews(np.array(texts, dtype=object), labels)


def _swap(random, words, written, distance):
    """The sentence with two words swapped, or None where that can't be.

    It isn't one of the sentences as written, so the two words differ as well.
    """
    for place in random.permutation(len(words) - distance):
        other = place + distance
        changed = list(words)
        changed[place], changed[other] = words[other], words[place]
        text = " ".join(changed)
        if text not in written:
            return text
    return None


def load(config: "Config", progress: bool = False) -> ReviewData:
    """Load the sentences with the distance and the split of a `Config`."""
    return load_sentences(
        distance=config.distance,
        validation_split=config.validation_split,
        seed=config.split_seed,
        progress=progress,
    )
