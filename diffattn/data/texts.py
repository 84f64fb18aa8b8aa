"""Help for data sets whose texts are made here: their words, and their fingerprint."""

import hashlib
from collections.abc import Iterable, Sequence

import numpy as np

from diffattn.data.reviews import Reviews


def standardized_words(texts: Sequence[str] | np.ndarray) -> list[list[str]]:
    """Split texts into words exactly as the vectorizer does.

    Args:
        texts: sequence of N str.

    Returns:
        A list of N lists of str, the words after `custom_standardization`.
    """
    # Here, not above: it imports TensorFlow, which generating texts doesn't need.
    from diffattn.data.standardization import as_bytes, custom_standardization

    if len(texts) == 0:
        return []

    # Split as bytes: like TensorFlow at ASCII's white space alone.
    return [
        [word.decode() for word in text.split()]
        for text in custom_standardization(as_bytes(texts)).numpy()
    ]


def text_fingerprint(parts: Iterable[Reviews]) -> str:
    """Compute the sha256 of texts and labels in their order.

    Args:
        parts: the `Reviews` before the split into train and validation.

    Returns:
        The 64 hexadecimal digits.
    """
    digest = hashlib.sha256()
    for reviews in parts:
        for text, label in zip(reviews.texts, reviews.labels, strict=True):
            digest.update(f"{label} {text}\n".encode())
    return digest.hexdigest()
