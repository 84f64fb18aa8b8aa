"""From raw text to tokens: standardization and the vectorizer."""

from collections.abc import Sequence

import keras
import numpy as np
import tensorflow as tf

from diffattn.checks import check_int

# What a browser takes for a tag: "<" with a letter, "/" or "!" right behind it,
# up to ">"; a ">" inside quotes does not end it. So "x < 3 and y > 2" has none.
_TAG = r"""<!--.*?-->|<[/!]?[a-z](?:"[^"]*"|'[^']*'|[^<>"'])*>|<[/!]?[a-z][^<>]*>"""
# Python's string.punctuation, and the punctuation of every other script.
_PUNCTUATION = r"[!-/:-@\[-`{-~\p{P}]"


@keras.saving.register_keras_serializable(package="diffattn")
def custom_standardization(text) -> tf.Tensor:
    """Lower case, HTML tags to a space, punctuation stripped.

    Any tag counts, not only ``<br />``; "x < 3 and y > 2" is not a tag.
    Punctuation is ASCII's 32 signs and whatever Unicode calls punctuation. It
    is removed, not replaced: "well-made" becomes "wellmade".

    Args:
        text: string tensor (or what converts to one) of any shape, UTF-8.

    Returns:
        A string tensor of the same shape.

    Source: the function of this name in the documentation, which replaces
    ``<br />`` alone.
    """
    text = tf.strings.lower(text, encoding="utf-8")
    text = tf.strings.regex_replace(text, f"(?s){_TAG}", " ")
    return tf.strings.regex_replace(text, _PUNCTUATION, "")


def make_vectorizer(
    texts: Sequence[str], vocabulary_size: int = 10_000, sequence_length: int = 250
) -> keras.layers.TextVectorization:
    """A TextVectorization layer whose vocabulary comes from `texts`.

    Args:
        texts: sequence of str, the training reviews.
        vocabulary_size: int of at least 3, number of tokens at most, counting
            padding (0) and unknown words (1).
        sequence_length: int, every review is cut or padded with 0 to this
            number of tokens.

    Returns:
        The adapted `keras.layers.TextVectorization`: strings of shape (N,) to
        int64 tokens of shape (N, sequence_length).

    Raises:
        ValueError: if a number is out of its bounds or there is no text.
    """
    check_int("vocabulary_size", vocabulary_size, 3)
    check_int("sequence_length", sequence_length)
    if len(texts) == 0:
        raise ValueError("texts must not be empty. Received: texts of length 0")
    vectorizer = keras.layers.TextVectorization(
        max_tokens=int(vocabulary_size),
        standardize=custom_standardization,
        output_mode="int",
        output_sequence_length=int(sequence_length),
    )
    vectorizer.adapt(_batches(texts))
    return vectorizer


def vectorize(vectorizer, texts: Sequence[str]) -> np.ndarray:
    """Tokens of all `texts`, once and for all.

    Args:
        vectorizer: what `make_vectorizer` returns.
        texts: sequence of N str.

    Returns:
        A NumPy array of int32 of shape (N, sequence_length).
    """
    batches = _batches(texts).map(vectorizer, num_parallel_calls=tf.data.AUTOTUNE)
    tokens = [batch.numpy().astype("int32") for batch in batches.prefetch(1)]
    return np.concatenate(tokens)


def _batches(texts):
    return tf.data.Dataset.from_tensor_slices(list(texts)).batch(1024)
