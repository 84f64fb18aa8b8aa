import html
import html.entities
import html.parser
import itertools
import random
import re
import string
import time
import unicodedata

import keras
import numpy as np
import pytest
import tensorflow as tf
from tools import ASCII, answer

from diffattn import (
    custom_standardization,
    load_sample,
    make_vectorizer,
)
from diffattn.data.order import load_order
from diffattn.data.standardization import vectorize
from diffattn.data.texts import standardized_words
from diffattn.data.versions import STANDARDIZATION_VERSION, standardization_of


def standardized(text):
    return custom_standardization(text).numpy().decode()


class TextOnly(html.parser.HTMLParser):
    """Collects the text that Python's HTML parser sees, with a space for each tag."""

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
    """Standardize by Python's HTML parser and references and Unicode's categories."""
    kinds = {c: unicodedata.category(c) for c in text}
    text = "".join(
        " " if kinds[c][0] == "Z" or kinds[c] == "Cc" else c
        for c in text
        if kinds[c] != "Cf"
    )
    parser = TextOnly()
    parser.feed(text)
    parser.close()
    text = re.sub(r"&(#\w+|\w+);", lambda m: html.unescape(m[0]), parser.text).lower()
    text = re.sub(r"\s", " ", text)
    return "".join(
        c
        for c in text
        if c not in string.punctuation
        and not unicodedata.category(c).startswith("P")
        and unicodedata.category(c) != "Cf"
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
        "&quot;dull&quot; &ldquo;dull&#8221; was&nbsp;dull&#x2003;or&#160;not",
        "don&#39;t don&#x27;t don&#X0027;t don&apos;t don&rsquo;t don&#146;t",
        "caf&eacute; CAF&Eacute; caf&#233; caf&#xE9; &#65;B &#345;&#305;",
        "B&B Q&A; AT&T; R&D &c. & so on; &#; &#x; &unheardof;",
        "&amp;quot; &amp;amp;quot; &&amp;eacute; &&#113;uot; &lt;b&gt;bold&lt;/b&gt;",
        "so&shy;ft, ze&ZeroWidthSpace;ro, new&NewLine;line, tab&Tab;bed",
        "was\xa0dull was\u2003dull was\x85dull was\u2028dull was\u2029dull",
        "good\0 bad\x1cgood\x1dbad\x1egood\x96bad\x7fgood\x01bad\x02good",
        "go\xadod zero\u200bwidth jo\u200din \ufeffmark \u202ebidi\u202c",
        "<b\x85class='x'>bold</b\xa0>, <em\u200b>",
        "line\nbreaks\tand tabs",
        "",
        "...",
    ],
)
def test_it_agrees_with_pythons_html_parser(text):
    assert standardized(text) == expected(text)


@pytest.mark.parametrize("kind", ["Cc", "Cf", "Zs", "Zl", "Zp"])
def test_every_invisible_character(kind):
    """A format character disappears, any other becomes a space."""
    signs = [c for c in map(chr, range(0x110000)) if unicodedata.category(c) == kind]
    result = custom_standardization([f"a{c}b" for c in signs]).numpy().tolist()
    assert result == [b"ab" if kind == "Cf" else b"a b"] * len(signs)


def test_every_html_reference():
    """It counts as its character, or as a space if that is a rare one."""
    html5 = html.entities.html5
    names = [
        name
        for name, text in html5.items()
        # Some names have another meaning in lower case.
        if name[-1] == ";" and html5.get(name.lower(), text).lower() == text.lower()
    ]
    names += [f"#{code};" for code in range(1, 0x2100)]
    windows = bytes(range(128, 160)).decode("cp1252", "ignore")
    common = {c.lower() for c in [*windows, *map(chr, range(0x180))]}
    characters = [html.unescape(f"&{name}") or " " for name in names]
    results = custom_standardization([f"a&{name}b" for name in names]).numpy()
    of_characters = custom_standardization([f"a{c}b" for c in characters]).numpy()
    for name, character, result, of_character in zip(
        names, characters, results, of_characters, strict=True
    ):
        is_rare = character.lower() not in common and of_character != b"ab"
        assert result == (b"a b" if is_rare else of_character), name


def test_bytes_that_are_not_utf_8_become_spaces():
    texts = [b"good\xffbad", b"\x96", b"a\xed\xa0\x80b", b"caf\xc3", b"\xc3\xa9t\xe9"]
    results = custom_standardization(texts).numpy().tolist()
    assert [text.split() for text in results] == [
        [b"good", b"bad"],
        [],
        [b"a", b"b"],
        [b"caf"],
        ["ét".encode()],
    ]


PIECES = ["<", "<!--", "-->", ">", "</b>", "&", "#", "x", "&#", "39;", "amp;", "&lt;"]
PIECES += ["a", "E", "I", "/", '"', "'", ";", "=", "quot;", "&amp;", "eacute;", "lt;"]
PIECES += ["\0", "\x01", "\x02", "\x85", "\xa0", "\xad", "\u200b", "\u2028", "\ufeff"]
PIECES += ["İ", "Σ", "ß", "é", "\u0307", "\ufe0f", "😀", "“", "\U000e0041", "\uffff"]


def test_a_second_pass_changes_nothing():
    rng = random.Random(0)
    texts = ["".join(pieces) for pieces in itertools.product(PIECES, repeat=2)]
    texts += ["".join(rng.choices(PIECES, k=rng.randint(3, 20))) for _ in range(50_000)]
    texts += [rng.randbytes(rng.randint(0, 20)) for _ in range(10_000)]
    once = custom_standardization(texts)
    assert np.array_equal(custom_standardization(once), once)


@pytest.mark.parametrize(
    "piece", ['<a "<b>', "<!--<a>", "<a '<", '<a "', "&#1", "&amp", "&", "<", "<a '<' "]
)
def test_the_time_is_proportional_to_the_length(piece):
    """Eight times the text must not take thirty times as long."""

    def seconds(count):
        text = tf.constant([piece * count])
        started = time.perf_counter()
        custom_standardization(text)
        return time.perf_counter() - started

    seconds(10)  # compiles the expressions
    short = min(seconds(10_000) for _ in range(3))
    assert min(seconds(80_000) for _ in range(3)) < 30 * short + 0.05


def version_1(text):
    """Standardize as version 1 did, which stored results do not name."""
    tag = r"""<!--.*?-->|<[/!]?[a-z](?:"[^"]*"|'[^']*'|[^<>"'])*>|<[/!]?[a-z][^<>]*>"""
    text = tf.strings.lower(text, encoding="utf-8")
    text = tf.strings.regex_replace(text, f"(?s){tag}", " ")
    return tf.strings.regex_replace(text, r"[!-/:-@\[-`{-~\p{P}]", "")


@pytest.mark.parametrize(
    "reviews", [load_sample(), load_order(), load_order(length=200, distance=4)]
)
def test_generated_reviews_have_the_same_tokens_in_version_1(reviews):
    for part in (reviews.train, reviews.validation, reviews.test):
        result = custom_standardization(part.texts).numpy().tolist()
        assert result == version_1(part.texts).numpy().tolist()
    assert standardization_of(reviews.name, {}) == STANDARDIZATION_VERSION
    assert standardization_of("imdb", {}) == 1


LOCALE = """
import diffattn
letters = "TITLE I\u0307 \u0130 \xcc \xcd \u0128 \u012e\u0301 J\u0301"
print(ascii(diffattn.custom_standardization(letters).numpy().decode()))
"""


@pytest.mark.slow
def test_the_locale_does_not_matter():
    """In Turkish, "I" loses its dot; in Lithuanian, it keeps it under an accent."""
    expected = ascii("title i̇ i̇ ì í ĩ į\u0301 j\u0301")
    for locale in ("tr_TR.UTF-8", "lt_LT.UTF-8"):
        assert " ".join(answer(LOCALE, LC_ALL=locale, LANG=locale)) == expected


def test_tags_and_what_resembles_them():
    assert standardized("x < 3 and y > 2").split() == ["x", "3", "and", "y", "2"]
    assert standardized("good<br />bad").split() == ["good", "bad"]
    assert standardized("<i don't> care").split() == ["care"]
    assert standardized("a <b") == "a b"
    assert standardized('<a title="5 < 4, <b>">x</a>').split() == ["x"]
    assert standardized("one <!-- never closed <b> two").split() == ["one"]


def test_every_letter_and_sign_of_unicode():
    """Letters stay, punctuation goes, and no character raises an error."""
    ignored = ("Cs", "Cn", "Co")  # surrogates, unassigned, private use
    signs = [
        c
        for c in map(chr, range(0x110000))
        if unicodedata.category(c) not in ignored
        # The Unicode versions of Python and TensorFlow differ in the newest ones.
        and unicodedata.category(c)[0] in "LNPSZ"
        and c != "İ"  # one letter to Python, two to others
    ]
    results = custom_standardization(signs).numpy()
    differing = 0
    for sign, result in zip(signs, results, strict=True):
        kind = unicodedata.category(sign)[0]
        is_punctuation = sign in string.punctuation or kind == "P"
        expected = "" if is_punctuation else " " if kind == "Z" else sign.lower()
        differing += result.decode() != expected
    assert differing / len(signs) < 0.002
    assert len(signs) > 100_000


def test_any_shape_eager_and_in_a_graph():
    batch = np.array([["A!", "<br/>B"], ["", "c"]])
    expected = [[b"a", b" b"], [b"", b"c"]]
    assert custom_standardization(batch).numpy().tolist() == expected
    in_graph = tf.function(custom_standardization)
    assert in_graph(tf.constant(batch)).numpy().tolist() == expected


@pytest.mark.parametrize("number", [int, np.int64])
def test_vectorizer_and_tokens(number):
    texts = ["Good, good film!", "bad film", "good"]
    sizes = {"vocabulary_size": number(4), "sequence_length": number(3)}
    vectorizer = make_vectorizer(texts, **sizes)
    assert vectorizer.get_vocabulary() == ["", "[UNK]", "good", "film"]
    tokens = vectorize(vectorizer, ["A GOOD<br />film, good", ""])
    assert tokens.tolist() == [[1, 2, 3], [0, 0, 0]]
    assert tokens.dtype == "int32"


def test_the_documented_sizes_are_the_defaults():
    config = make_vectorizer(["good film"]).get_config()
    assert (config["max_tokens"], config["output_sequence_length"]) == (10_000, 250)


#: Characters at which `str.splitlines` ends a line but `tf.strings.split` does not end
#: a word, and two outside ASCII.
SIGNS = ["\x1c", "\x1d", "\x1e", "\x85", "\u2028", "\u2029", "é", "😀"]

SAVE = """
import sys, keras, tensorflow as tf
from diffattn.data import standardization

@keras.saving.register_keras_serializable("test")
def unchanged(text):
    return tf.identity(text)

def save(path):
    standardization.custom_standardization = unchanged
    texts = [f"odd{sign}pair" for sign in SIGNS] * 9 + ["dull dull fun"]
    vectorizer = standardization.make_vectorizer(texts, 20, 3)
    text = keras.Input((), dtype="string")
    keras.Model(text, vectorizer(text)).save(path)
"""


@pytest.mark.slow
@pytest.mark.parametrize("environment", [{}, ASCII])
def test_a_saved_vectorizer_keeps_any_vocabulary(environment, tmp_path):
    """Even words that `custom_standardization` would change."""
    path = tmp_path / "m.keras"
    program = f"SIGNS = {SIGNS!a}\n{SAVE}\nsave(sys.argv[1])"
    assert answer(program, path, **environment) == []
    exec(SAVE, {})  # registers the function here as well
    loaded = keras.models.load_model(path)
    words = [f"odd{sign}pair" for sign in SIGNS]
    assert set(loaded.layers[1].get_vocabulary()) == {
        "",
        "[UNK]",
        "dull",
        "fun",
        *words,
    }
    tokens = loaded(tf.constant([*words, "dull", "fun"])).numpy()
    assert sorted(tokens[:, 0]) == list(range(2, 12))
    assert tokens[-2:, 0].tolist() == [10, 11]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"texts": ["..."]}, "texts must have words. Received: 1 without any"),
        ({"texts": []}, "texts must not be empty"),
        ({"vocabulary_size": 2}, "vocabulary_size must be .* at least 3.*=2"),
        ({"sequence_length": -1}, "sequence_length must be a positive.*=-1"),
    ],
)
def test_invalid_arguments_are_named(arguments, message):
    with pytest.raises(ValueError, match=message):
        make_vectorizer(**{"texts": ["a"], **arguments})


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("\ud800", r"texts\[1\] with '\\ud800' at 0"),
        ("good \udfff", r"texts\[1\] with '\\udfff' at 5"),
        (None, r"texts\[1\]=None of type NoneType"),
        (0.5, r"texts\[1\]=0\.5 of type float"),
    ],
)
def test_a_text_that_is_none_is_named(text, message):
    texts = np.array(["good", text], dtype=object)
    vectorizer = make_vectorizer(["good"], 10, 3)
    for function in (
        lambda: make_vectorizer(texts),
        lambda: vectorize(vectorizer, texts),
        lambda: standardized_words(texts),
    ):
        with pytest.raises(ValueError, match=message):
            function()


def test_no_texts_give_no_tokens():
    vectorizer = make_vectorizer(["good"], 10, 3)
    tokens = vectorize(vectorizer, [])
    assert tokens.shape == (0, 3)
    assert tokens.dtype == np.int32
    assert standardized_words([]) == []
