import hashlib

import numpy as np

from diffattn.data.reviews import Reviews
from diffattn.data.standardization import make_vectorizer, vectorize
from diffattn.data.texts import standardized_words, text_fingerprint

TEXTS = ["Not good,<br />but FUN!", "", "a\u00a0b\u2003c \u0085d", "don't &amp; won't"]


def test_words_are_those_that_the_vectorizer_counts():
    words = standardized_words(TEXTS)
    vectorizer = make_vectorizer(np.array(TEXTS, dtype=object), 100, 9)
    vocabulary = vectorizer.get_vocabulary()
    tokens = vectorize(vectorizer, np.array(TEXTS, dtype=object))
    for of_text, row in zip(words, tokens, strict=True):
        assert [vocabulary[token] for token in row if token] == of_text
    assert words[0] == ["not", "good", "but", "fun"]


def test_the_fingerprint_is_of_labels_and_texts_in_their_order():
    one = Reviews(np.array(["a b", "c"], dtype=object), np.array([1, 0]))
    other = Reviews(np.array(["d"], dtype=object), np.array([1]))
    expected = hashlib.sha256(b"1 a b\n0 c\n1 d\n").hexdigest()
    assert text_fingerprint([one, other]) == expected
    assert text_fingerprint([other, one]) != expected
