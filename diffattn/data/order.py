"""The order task: which of two tokens comes first? Nothing else decides the label."""

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from diffattn.checks import check_int
from diffattn.data.reviews import ReviewData, Reviews, split_generated

if TYPE_CHECKING:
    from diffattn.training.config import Config

#: Tokens of the further test sets of 'order-lengths', and sequences in each.
LENGTHS = (24, 50, 100, 200, 400, 800)
LENGTHS_SEQUENCES = 1000


def load_order(
    *,
    length: int = 24,
    distance: int = 1,
    repeats: int = 1,
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
        length, distance, repeats: as for `order_task`.
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
        train_sequences + half,
        length=length,
        distance=distance,
        repeats=repeats,
        seed=seed,
    )
    train = _as_texts(tokens[:train_sequences], labels[:train_sequences])
    test = _with_mirror_images(tokens[-half:], labels[-half:])
    return split_generated("order", train, test, validation_split, seed)


def _with_mirror_images(tokens, labels):
    """The sequences, then all of them again with tokens 1 and 2 exchanged."""
    mirrored = np.select([tokens == 1, tokens == 2], [2, 1], tokens)
    return _as_texts(
        np.concatenate([tokens, mirrored]), np.concatenate([labels, 1 - labels])
    )


def _as_texts(tokens, labels):
    texts = [" ".join(f"t{token}" for token in sequence) for sequence in tokens]
    return Reviews(np.array(texts, dtype=object), labels)


def order_task(
    count: int,
    *,
    length: int = 24,
    distance: int = 1,
    repeats: int = 1,
    vocabulary_size: int = 20,
    seed: int = 0,
) -> tuple[np.ndarray, np.ndarray]:
    """Sequences whose label is nothing but which of two tokens comes first.

    Tokens 1 and 2 stand once each in every sequence, `distance` apart; the
    label is 1 where token 1 is the first of the two. All other tokens are
    random and say nothing.

    With `repeats`, the pair stands that often, each time in the same order. Two pairs
    are more than `distance` apart: no token of one is as near to a token of another as
    the two of a pair are to each other.

    Args:
        count: int, number of sequences N.
        length: int, tokens of each.
        distance: int, 1 for neighbours.
        repeats: int, number of pairs in each sequence.
        vocabulary_size: int, tokens 3 up to this (exclusive) fill the rest.
        seed: int.

    Returns:
        (tokens, labels): NumPy arrays of int32 of shapes (N, length) and (N,).

    Raises:
        ValueError: if a number is out of its bounds, or the pairs have no room.
    """
    check_int("count", count)
    check_room("length", length, distance, repeats)
    check_int("vocabulary_size", vocabulary_size, 4)
    check_int("seed", seed, 0, 2**32)
    random = np.random.RandomState(seed)
    tokens = random.randint(3, vocabulary_size, size=(count, length))
    first = _places(random, count, length, distance, repeats)
    labels = random.randint(0, 2, size=count)
    rows = np.arange(count)[:, None]
    tokens[rows, first] = 2 - labels[:, None]
    tokens[rows, first + distance] = 1 + labels[:, None]
    return tokens.astype("int32"), labels.astype("int32")


def _places(random, count, length, distance, repeats):
    """Where the first tokens of the pairs stand, of shape (count, repeats)."""
    if repeats == 1:
        return random.randint(0, length - distance, size=(count, 1))
    # All ways to place them are equally probable: take 2 · distance tokens out behind
    # each pair's first token, choose among the places that are left, put them back.
    taken_out = 2 * distance * np.arange(repeats)
    left = length - distance - taken_out[-1]
    order = random.random_sample((count, left)).argsort(axis=1, kind="stable")
    return np.sort(order[:, :repeats], axis=1) + taken_out


def check_room(name: str, length: int, distance: int, repeats: int) -> None:
    """Check that so many pairs of the order task have room in a sequence.

    Args:
        name: what the length is called.
        length, distance, repeats: as for `order_task`.

    Raises:
        ValueError: if a number is out of its bounds, or they have no room.
    """
    check_int(name, length, 2)
    check_int("distance", distance, 1, length)
    check_int("repeats", repeats)
    needed = (repeats - 1) * (2 * distance + 1) + distance + 1
    if length < needed:
        raise ValueError(
            f"{name} must be at least {needed} for so many pairs. Received: "
            f"{name}={length}, distance={distance}, repeats={repeats}"
        )


def load(config: "Config", progress: bool = False) -> ReviewData:
    """Load the order task with the length, distance, … and split of a `Config`."""
    return load_order(
        length=config.sequence_length,
        distance=config.distance,
        repeats=config.repeats,
        validation_split=config.validation_split,
        seed=config.split_seed,
    )


def load_lengths(config: "Config", progress: bool = False) -> ReviewData:
    """Load the order task with further test sets of `LENGTHS`, named by their tokens.

    Each has `LENGTHS_SEQUENCES` sequences that `load` has not, in mirrored pairs.
    """
    tests = {
        str(length): _with_mirror_images(
            *order_task(
                LENGTHS_SEQUENCES // 2,
                length=length,
                distance=config.distance,
                repeats=config.repeats,
                # Another stream than the training's: at its length, with its seed,
                # these would be sequences of training.
                seed=config.split_seed + length,
            )
        )
        for length in LENGTHS
    }
    return replace(load(config), name="order-lengths", tests=tests)
