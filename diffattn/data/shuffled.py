"""The IMDB reviews with their words shuffled: the same words, their order destroyed.

After Pham, Bui, Mai and Nguyen, *Out of Order*, Findings of ACL 2021, 1145-1160,
arXiv:2012.15180. What a model loses on these is what the order was worth to it.
"""

import hashlib
import os
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from diffattn.checks import check_int
from diffattn.data.imdb import load_imdb
from diffattn.data.reviews import ReviewData, Reviews
from diffattn.data.texts import standardized_words, text_fingerprint

if TYPE_CHECKING:
    from diffattn.training.config import Config


def load_shuffled(
    source: str | os.PathLike | None = None,
    *,
    sequence_length: int = 250,
    shuffle_seed: int = 0,
    validation_split: float = 0.2,
    seed: int = 42,
    progress: bool = False,
) -> ReviewData:
    """Load the IMDB reviews, the first words of each shuffled.

    Review by review and part by part these are the reviews of `load_imdb`. See
    `shuffle_words` for what is shuffled. Train with the same `sequence_length`, or
    else the bags differ.

    Args:
        source: the data set's archive or folder, as for `load_imdb`.
        sequence_length: int, number L of words that are shuffled.
        shuffle_seed: int, of the shuffling.
        validation_split, seed: as for `load_imdb`, for the same split.
        progress: bool, whether to show how far reading is.

    Returns:
        A `ReviewData` of the name "imdb-shuffled". Its fingerprint is of the shuffled
        texts, in the order train, validation, test: it depends on the split.

    Raises:
        DataError: as `load_imdb`.
        ValueError: if a number is out of its bounds.
    """
    check_int("sequence_length", sequence_length)
    check_int("shuffle_seed", shuffle_seed, 0, 2**32)
    data = load_imdb(
        source, validation_split=validation_split, seed=seed, progress=progress
    )

    def shuffled(part):
        texts = shuffle_words(
            part.texts, sequence_length=sequence_length, seed=shuffle_seed
        )
        return Reviews(texts, part.labels)

    parts = shuffled(data.train), shuffled(data.validation), shuffled(data.test)
    return ReviewData("imdb-shuffled", *parts, text_fingerprint(parts))


def shuffle_words(
    texts: Sequence[str] | np.ndarray, *, sequence_length: int = 250, seed: int = 0
) -> np.ndarray:
    """Shuffle the first words of each text.

    The words that a classifier reads are shuffled, and the words after these, which
    it cuts off, stay where they are. So all words are counted as before: a vectorizer
    that learns from the shuffled texts has the same vocabulary, and each text has the
    same bag of tokens before the cut.

    Args:
        texts: sequence of N str.
        sequence_length: int, number L of words at the beginning that are shuffled.
        seed: int. A text's order depends on it and on the text alone, not on where
            the text stands among others.

    Returns:
        An array of N str: standardized words joined by spaces.

    Raises:
        ValueError: if a number is out of its bounds.
    """
    check_int("sequence_length", sequence_length)
    check_int("seed", seed, 0, 2**32)
    shuffled = [
        " ".join(_shuffle(words, sequence_length, seed))
        for words in standardized_words(texts)
    ]
    return np.array(shuffled, dtype=object)


def _shuffle(words, sequence_length, seed):
    digest = hashlib.sha256(f"{seed} {' '.join(words)}".encode()).digest()
    # RandomState's stream is frozen: NumPy promises never to change it.
    random = np.random.RandomState(np.frombuffer(digest, "<u4"))
    order = random.permutation(min(sequence_length, len(words)))
    return [words[i] for i in order] + words[sequence_length:]


def load(config: "Config", progress: bool = False) -> ReviewData:
    """Load the shuffled reviews with the length and the split of a `Config`."""
    return load_shuffled(
        sequence_length=config.sequence_length,
        validation_split=config.validation_split,
        seed=config.split_seed,
        progress=progress,
    )
