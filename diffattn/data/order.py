"""The order task: which of two tokens comes first? Nothing else decides the label."""

from typing import TYPE_CHECKING

import numpy as np

from diffattn.checks import check_int
from diffattn.data.reviews import ReviewData, Reviews, split_generated

if TYPE_CHECKING:
    from diffattn.training.config import Config


def load_order(
    *,
    length: int = 24,
    distance: int = 1,
    train_sequences: int = 7500,
    test_sequences: int = 2000,
    validation_split: float = 0.2,
    seed: int = 42,
) -> ReviewData:
    """The order task as texts: a token n is the word "tn".

    Each sequence of the test set has its mirror image beside it, the same but for
    the two tokens, which change places: what is blind to order gets exactly one of
    the two right.

    Args:
        length, distance: as for `order_task`.
        train_sequences: int, number of sequences in train and validation together.
        test_sequences: int, number of sequences in test, even.
        validation_split: share of `train_sequences` set aside, in (0, 1).
        seed: int, of the tokens and the split.

    Returns:
        A `diffattn.data.imdb.ReviewData`.

    Raises:
        ValueError: if a number is out of its bounds.
    """
    check_int("train_sequences", train_sequences)
    check_int("test_sequences", test_sequences, 2)
    if test_sequences % 2:
        raise ValueError(
            "test_sequences must be even: each has its mirror image beside it. "
            f"Received: test_sequences={test_sequences}"
        )
    half = test_sequences // 2
    tokens, labels = order_task(
        train_sequences + half, length=length, distance=distance, seed=seed
    )
    mirrored = np.select([tokens == 1, tokens == 2], [2, 1], tokens)[-half:]
    train = _as_texts(tokens[:train_sequences], labels[:train_sequences])
    test = _as_texts(
        np.concatenate([tokens[-half:], mirrored]),
        np.concatenate([labels[-half:], 1 - labels[-half:]]),
    )
    return split_generated("order", train, test, validation_split, seed)


def _as_texts(tokens, labels):
    texts = [" ".join(f"t{token}" for token in sequence) for sequence in tokens]
    return Reviews(np.array(texts, dtype=object), labels)


def order_task(
    count: int,
    *,
    length: int = 24,
    distance: int = 1,
    vocabulary_size: int = 20,
    seed: int = 0,
) -> tuple[np.ndarray, np.ndarray]:
    """Sequences whose label is nothing but which of two tokens comes first.

    Tokens 1 and 2 stand once each in every sequence, `distance` apart; the
    label is 1 where token 1 is the first of the two. All other tokens are
    random and say nothing.

    Args:
        count: int, number of sequences N.
        length: int, tokens of each.
        distance: int, 1 for neighbours.
        vocabulary_size: int, tokens 3 up to this (exclusive) fill the rest.
        seed: int.

    Returns:
        (tokens, labels): NumPy arrays of int32 of shapes (N, length) and (N,).

    Raises:
        ValueError: if a number is out of its bounds.
    """
    check_int("count", count)
    check_int("length", length, 2)
    check_int("distance", distance, 1, length)
    check_int("vocabulary_size", vocabulary_size, 4)
    check_int("seed", seed, 0, 2**32)
    random = np.random.RandomState(seed)
    tokens = random.randint(3, vocabulary_size, size=(count, length))
    first = random.randint(0, length - distance, size=count)
    labels = random.randint(0, 2, size=count)
    rows = np.arange(count)
    tokens[rows, first] = 2 - labels
    tokens[rows, first + distance] = 1 + labels
    return tokens.astype("int32"), labels.astype("int32")


def load(config: "Config", progress: bool = False) -> ReviewData:
    """Load the order task with the length, distance and split of a `Config`."""
    return load_order(
        length=config.sequence_length,
        distance=config.distance,
        validation_split=config.validation_split,
        seed=config.split_seed,
    )
