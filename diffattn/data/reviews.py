"""Labelled texts, and their split in training, validation and test."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from diffattn.checks import check_validation_split
from diffattn.errors import DataError


@dataclass(frozen=True)
class Reviews:
    """Texts and their labels.

    Attributes:
        texts: array of N str.
        labels: array of int32 of shape (N,), 1 for a positive review, else 0; for
            other tasks, what `diffattn.training.task.Task` says.
    """

    texts: np.ndarray
    labels: np.ndarray

    def __len__(self) -> int:
        return len(self.texts)

    def __getitem__(self, index: np.ndarray | slice) -> "Reviews":
        """The reviews at an index array or slice."""
        return Reviews(self.texts[index], self.labels[index])


@dataclass(frozen=True)
class ReviewData:
    """A data set split in three.

    Attributes:
        name: the data set's, a key of `diffattn.data.DATASETS`.
        train, validation, test: the `Reviews`.
        fingerprint: sha256 of all reviews before the split.
        tests: further test sets by name, whose texts may be of other lengths.
    """

    name: str
    train: Reviews
    validation: Reviews
    test: Reviews
    fingerprint: str
    tests: Mapping[str, Reviews] = field(default_factory=dict)

    def describe(self) -> dict:
        """Name, fingerprint and numbers of reviews, as a dict of JSON values."""
        parts: dict = {
            part: len(getattr(self, part)) for part in ("train", "validation", "test")
        }
        if self.tests:
            parts["tests"] = {name: len(test) for name, test in self.tests.items()}
        return {"name": self.name, "fingerprint": self.fingerprint, **parts}


def split(
    name: str,
    train: Reviews,
    test: Reviews,
    validation_split: float,
    seed: int,
    fingerprint: str,
) -> ReviewData:
    """Set a share of the training reviews aside for validation.

    The order is the one of `keras.utils.text_dataset_from_directory`: a
    shuffle by NumPy's frozen RandomState, the last share of it for validation.

    Args:
        name: the data set's.
        train, test: `Reviews`.
        validation_split: the share, in (0, 1).
        seed: int.
        fingerprint: of the reviews.

    Returns:
        A `ReviewData`.

    Raises:
        ValueError: if validation_split is not in (0, 1).
        DataError: if it leaves no review for training or none for validation.
    """
    check_validation_split(validation_split)
    order = np.random.RandomState(seed).permutation(len(train))
    count = int(validation_split * len(train))
    if not 0 < count < len(train):
        raise DataError(
            f"validation_split={validation_split} of {len(train)} reviews leaves none "
            "for training or none for validation"
        )
    return ReviewData(
        name, train[order[:-count]], train[order[-count:]], test, fingerprint
    )


def split_generated(
    name: str, train: Reviews, test: Reviews, validation_split: float, seed: int
) -> ReviewData:
    """Split generated texts, with a sha256 of labels and texts as their fingerprint.

    Args and errors are those of `split`.
    """
    digest = hashlib.sha256()
    for reviews in (train, test):
        for text, label in zip(reviews.texts, reviews.labels, strict=True):
            digest.update(f"{label} {text}\n".encode())
    return split(name, train, test, validation_split, seed, digest.hexdigest())
