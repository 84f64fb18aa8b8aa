import html.parser
import string
import unicodedata

import numpy as np
import pytest
import tensorflow as tf

from diffattn import custom_standardization, make_vectorizer
from diffattn.data.standardization import vectorize


def standardized(text):
    return custom_standardization(text).numpy().decode()


class TextOnly(html.parser.HTMLParser):
    """What Python's own HTML parser takes for text, a space for each tag."""

    def __init__(self):
        super().__init__(convert_charrefs=False)
        self.text = ""

    def handle_data(self, data):
        self.text += data

    def _space(self, *ignored):
        self.text += " "

    handle_starttag = handle_endtag = handle_comment = handle_decl = _space

    def handle_startendtag(self, *ignored):
        self._space()

    def handle_entityref(self, name):
        self.text += f"&{name};"

    def handle_charref(self, name):
        self.text += f"&#{name};"


def expected(text):
    """Independently: Python's HTML parser, str.lower and Unicode's categories."""
    parser = TextOnly()
    parser.feed(text)
    parser.close()
    return "".join(
        c
        for c in parser.text.lower()
        if c not in string.punctuation and not unicodedata.category(c).startswith("P")
    )


@pytest.mark.parametrize(
    "text",
    [
        "A film. Really!<br /><br />GOOD.",
        "one<br>two<BR/>three</p >four",
        '<a href="x" title="5 > 4">a link</a>',
        "<!-- a note,\n<b> in it --> told",
        "<!DOCTYPE html>text",
        "x < 3 and y > 2",
        "I <3 it, <- that",
        "well-made, don't you think? (yes) [no] {so} $5 100% a_b ~ ^",
        "` | \\ / @ # * + =",
        "“Quoted” — so it’s… «dit» ¿qué? 「映画」、良い。",
        "ÀÉÎÕÜ ÇA ŒUVRE ΑΒΓ ДЖЗ straße",
        "a film 😀 with ★ and ♥",
        "&amp; &#39; entities",
        "line\nbreaks\tand tabs",
        "",
        "...",
    ],
)
def test_equals_pythons_own_parser(text):
    assert standardized(text) == expected(text)


def test_what_is_a_tag_and_what_is_not():
    assert standardized("x < 3 and y > 2").split() == ["x", "3", "and", "y", "2"]
    assert standardized("good<br />bad").split() == ["good", "bad"]
    assert standardized("<i don't> care").split() == ["care"]
    assert standardized("a <b") == "a b"


def test_every_letter_and_sign_of_unicode():
    """Letters stay, punctuation goes; none stops the graph."""
    ignored = ("Cs", "Cn", "Co")  # not characters, or not agreed on
    signs = [
        c
        for c in map(chr, range(0x110000))
        if unicodedata.category(c) not in ignored
        # The Unicode versions of Python and TensorFlow differ in the newest ones.
        and unicodedata.category(c)[0] in "LNPSZ"
        and c != "İ"  # one letter to Python, two to others
    ]
    found = custom_standardization(signs).numpy()
    differing = 0
    for sign, answer in zip(signs, found, strict=True):
        gone = sign in string.punctuation or unicodedata.category(sign)[0] == "P"
        differing += answer.decode() != ("" if gone else sign.lower())
    assert differing / len(signs) < 0.002
    assert len(signs) > 100_000


def test_any_shape_eager_and_in_a_graph():
    batch = np.array([["A!", "<br/>B"], ["", "c"]])
    wanted = [[b"a", b" b"], [b"", b"c"]]
    assert custom_standardization(batch).numpy().tolist() == wanted
    in_graph = tf.function(custom_standardization)
    assert in_graph(tf.constant(batch)).numpy().tolist() == wanted


@pytest.mark.parametrize("number", [int, np.int64])
def test_vectorizer_and_tokens(number):
    texts = ["Good, good film!", "bad film", "good"]
    sizes = {"vocabulary_size": number(4), "sequence_length": number(3)}
    vectorizer = make_vectorizer(texts, **sizes)
    assert vectorizer.get_vocabulary() == ["", "[UNK]", "good", "film"]
    tokens = vectorize(vectorizer, ["A GOOD<br />film, good", ""])
    assert tokens.tolist() == [[1, 2, 3], [0, 0, 0]]
    assert tokens.dtype == "int32"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"texts": []}, "texts must not be empty"),
        ({"vocabulary_size": 2}, "vocabulary_size must be .* at least 3.*=2"),
        ({"sequence_length": -1}, "sequence_length must be a positive.*=-1"),
    ],
)
def test_bad_arguments_are_named(arguments, message):
    with pytest.raises(ValueError, match=message):
        make_vectorizer(**{"texts": ["a"], **arguments})
