"""From raw text to tokens: standardization and the vectorizer."""

import re
import unicodedata
from collections import defaultdict
from collections.abc import Sequence
from functools import cache
from html import unescape
from html.entities import html5
from string import punctuation
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from diffattn.attention.backend import refuse_to_export_text
from diffattn.checks import check_int

# Control characters, and all separators (Z) except the plain space.
_SPACE = "[\0-\x1f\x7f-\xa0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000]"
# Default ignorable characters besides the format characters (Cf).
_IGNORABLE = (
    "\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u2065\u3164\ufe00-\ufe0f\uffa0"
    "\ufff0-\ufff8\U000e0000-\U000e0fff"
)
_INVISIBLE = rf"[\p{{Cf}}{_IGNORABLE}]"
# `tf.strings.lower` follows the system's locale (TensorFlow 2.21): a Turkish or
# Lithuanian one gives these letters another lower case.
_LOCALE_LETTERS = {letter: letter.lower() for letter in "İÌÍĨĮ"}
# A tag as browsers read it: from "<" directly before a letter, "/" or "!" to the next
# ">" outside quotes. So "x < 3 and y > 2" has none. An unclosed comment extends to the
# end of the text, as in a browser; otherwise the search would take quadratic time.
_TAG = (
    r"""<!--.*?(?:-->|\z)|<[/!]?[a-z](?:"[^"]*"|'[^']*'|[^<>"'])*>"""
    r"""|<[/!]?[a-z][^<>]*>"""
)
# Python's string.punctuation, and the punctuation of every other script.
_PUNCTUATION = r"[!-/:-@\[-`{-~\p{P}]"


@keras.saving.register_keras_serializable(package="diffattn")
def custom_standardization(text: Any) -> tf.Tensor:
    """Lower the case, turn tags and white space into spaces, strip punctuation.

    These rules apply, in this order:

    1. Each byte that is not UTF-8, each character that Unicode calls white space or a
       separator (Z), and each control character (Cc) becomes a space.
    2. Format characters (Cf) such as the soft hyphen, and others that Unicode calls
       default ignorable, are removed.
    3. Letters become lower case, the same in every locale.
    4. Each HTML tag or comment becomes a space. Any tag counts, not only ``<br />``;
       "x < 3 and y > 2" has none.
    5. An HTML character reference that ends in ";" counts as its character if that is
       white space, punctuation, below U+0180 or in Windows-1252 (``&quot;``, ``&#39;``,
       ``&nbsp;``, ``&eacute;``); any other becomes a space. The case of a name does not
       matter. A name that HTML does not define, as in "Q&A;", is no reference.
    6. Punctuation (ASCII's 32 signs and Unicode's category P) is removed, not
       replaced: "well-made" becomes "wellmade".

    The time is proportional to the text's length, and a second pass changes nothing.

    Args:
        text: string tensor (or what converts to one) of any shape, UTF-8.

    Returns:
        A string tensor of the same shape.

    Source: the function of this name in the documentation, which replaces only
    ``<br />``.
    """
    if not tf.executing_eagerly():
        refuse_to_export_text()
    replace = tf.strings.regex_replace
    text = tf.strings.unicode_transcode(
        text, "UTF-8", "UTF-8", replacement_char=ord(" ")
    )
    text = replace(replace(text, _SPACE, " "), _INVISIBLE, "")
    text = tf.strings.lower(text)  # ASCII first: below, "I" depends on the locale
    for letter, lower in _LOCALE_LETTERS.items():
        text = replace(text, letter, lower)
    text = tf.strings.lower(text, encoding="utf-8")
    text = replace(text, f"(?s){_TAG}", " ")
    # No control characters are left, so two of them can mark the references: the
    # character that one stands for must not become part of another reference.
    known, characters = _references()
    text = replace(text, f"&({known});", "\x01\\1\x02")
    flat = tf.reshape(text, [-1])
    marked = tf.where(tf.strings.regex_full_match(flat, "(?s).*\x01.*"))
    resolved = tf.gather_nd(flat, marked)
    for character, spellings in characters.items():
        resolved = replace(resolved, f"\x01(?:{spellings})\x02", character)
    resolved = replace(resolved, "\x01[^\x02]*\x02", " ")
    flat = tf.tensor_scatter_nd_update(flat, marked, resolved)
    return replace(tf.reshape(flat, tf.shape(text)), _PUNCTUATION, "")


@cache
def _references():
    """Build regular expressions for what stands between "&" and ";".

    Returns:
        (known, characters): an expression for every reference that HTML defines, and,
        for those to be resolved, a dict from the standardized character to an
        expression for its references.
    """
    spellings = defaultdict(list)
    for code in range(1, 0x10000):
        # HTML reads 128 to 159 as Windows-1252, and other controls as nothing.
        standard = _standardized(unescape(f"&#{code};") or " ")
        if code < 0x180 or standard in spellings:
            spellings[standard] += [f"#0*{code}", f"#x0*{code:x}"]
    # Of names that differ only in case, the last, lower-case one counts.
    names = {name.lower(): text for name, text in sorted(html5.items())}
    names = {name[:-1]: text for name, text in names.items() if name.endswith(";")}
    for name, text in names.items():
        if _standardized(text) in spellings:
            spellings[_standardized(text)].append(name)
    characters = {standard: "|".join(names) for standard, names in spellings.items()}
    return "|".join(["#[0-9]+", "#x[0-9a-f]+", *names]), characters


def _standardized(text):
    """Standardize a short text without tags by Python's Unicode tables."""
    standard = ""
    for character in re.sub(f"[{_IGNORABLE}]", "", text.lower()):
        category = unicodedata.category(character)
        if category == "Cc" or category[0] == "Z":
            standard += " "
        elif not (category == "Cf" or category[0] == "P" or character in punctuation):
            standard += character
    return standard


def make_vectorizer(
    texts: Sequence[str] | np.ndarray,
    vocabulary_size: int = 10_000,
    sequence_length: int = 250,
) -> keras.layers.TextVectorization:
    """Make a TextVectorization layer whose vocabulary comes from `texts`.

    Args:
        texts: sequence of str, the training reviews.
        vocabulary_size: int of at least 3, the largest number of tokens, including
            padding (0) and unknown words (1).
        sequence_length: int, the number of tokens to which every review is cut or
            padded with 0.

    Returns:
        A `keras.layers.TextVectorization`: strings of shape (N,) to int64 tokens of
        shape (N, sequence_length). Its vocabulary is part of its configuration.

    Raises:
        ValueError: if a number is out of its bounds, the texts have no word, or one
            of them is no text, or none that UTF-8 can encode.
    """
    check_int("vocabulary_size", vocabulary_size, 3)
    check_int("sequence_length", sequence_length)
    if len(texts) == 0:
        raise ValueError("texts must not be empty. Received: texts of length 0")
    settings = {
        "max_tokens": int(vocabulary_size),
        "standardize": custom_standardization,
        "output_mode": "int",
        "output_sequence_length": int(sequence_length),
    }
    adapted = keras.layers.TextVectorization(**settings)
    adapted.adapt(_batches(texts))
    # Keras (3.15.1) saves an adapted vocabulary as a text file, one word a line, in the
    # locale's encoding, and reads it with str.splitlines: a word with U+0085 or U+2028
    # becomes two, which shifts the tokens of all later words. A vocabulary passed to
    # the constructor is saved as JSON instead.
    vocabulary = [str(word) for word in adapted.get_vocabulary()]
    if len(vocabulary) == 2:  # padding and unknown
        raise ValueError(f"texts must have words. Received: {len(texts)} without any")
    return keras.layers.TextVectorization(**settings, vocabulary=vocabulary)


def vectorize(
    vectorizer: keras.layers.TextVectorization, texts: Sequence[str] | np.ndarray
) -> np.ndarray:
    """Turn `texts` into tokens.

    Args:
        vectorizer: a layer from `make_vectorizer`.
        texts: sequence of N str.

    Returns:
        A NumPy array of int32 of shape (N, sequence_length).

    Raises:
        ValueError: if one of the texts is no text, or none that UTF-8 can encode.
    """
    if len(texts) == 0:
        length = vectorizer.get_config()["output_sequence_length"]
        return np.zeros((0, length), "int32")
    batches = _batches(texts).map(vectorizer, num_parallel_calls=tf.data.AUTOTUNE)
    tokens = [batch.numpy().astype("int32") for batch in batches.prefetch(1)]
    return np.concatenate(tokens)


def as_bytes(texts: Sequence[str] | np.ndarray) -> list[bytes]:
    """Encode texts for TensorFlow, whose own errors would not say which text it is.

    Args:
        texts: sequence of N str; what is bytes already stays.

    Returns:
        A list of N bytes, UTF-8.

    Raises:
        ValueError: if one of them is no text, or has half a surrogate pair.
    """
    return [_encode(number, text) for number, text in enumerate(texts)]


def _encode(number, text):
    if isinstance(text, bytes):
        return text
    if not isinstance(text, str):
        raise ValueError(
            f"texts must be str. Received: texts[{number}]={text!r:.40} of type "
            f"{type(text).__name__}"
        )
    try:
        return text.encode()
    except UnicodeEncodeError as error:
        raise ValueError(
            "texts must be Unicode without half a surrogate pair. Received: "
            f"texts[{number}] with {text[error.start]!r} at {error.start}"
        ) from error


def _batches(texts):
    return tf.data.Dataset.from_tensor_slices(as_bytes(texts)).batch(1024)
