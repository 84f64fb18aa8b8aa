"""What holds for any text and for any archive, however damaged or hostile."""

import io
import tarfile

import numpy as np
import pytest
from data_case import small_archive
from hypothesis import assume, example, given
from hypothesis import strategies as st

from diffattn import custom_standardization, load_imdb, make_vectorizer
from diffattn.data.standardization import vectorize
from diffattn.errors import DataError

pytestmark = [pytest.mark.campaign, pytest.mark.slow]

#: Text of any characters, and text made of what the standardization looks for.
MARKUP = st.lists(
    st.sampled_from(["<", ">", "<!--", "-->", "&", "&#", "amp;", ";", "\0", "\x85"])
    | st.text(max_size=3)
).map("".join)
TEXT = st.text() | MARKUP


def standardized(text):
    return custom_standardization(text).numpy()


@given(TEXT | st.binary())
def test_a_second_pass_changes_nothing(text):
    once = standardized(text)
    assert standardized(once) == once


@given(st.lists(TEXT, min_size=1, max_size=5))
def test_a_text_does_not_know_its_neighbours(texts):
    together = custom_standardization(texts).numpy()
    assert together.tolist() == [standardized(text) for text in texts]


@given(TEXT)
def test_only_words_and_spaces_are_left(text):
    """No tag, control character or punctuation, and no capital of ASCII."""
    result = standardized(text).decode()
    left = set(result) - {" "}
    assert not any(c in "<>&;!\"'()" or "A" <= c <= "Z" for c in left)
    assert all(c.isprintable() or ord(c) > 0x7F for c in left)


@given(TEXT)
def test_every_word_is_read_as_the_standardization_leaves_it(text):
    words = standardized(text).decode().split()
    assume(words)
    vectorizer = make_vectorizer([text] * 2, 10_000, len(words))
    tokens = vectorize(vectorizer, [text])[0]
    vocabulary = vectorizer.get_vocabulary()
    assert [vocabulary[token] for token in tokens] == words


def load_or_refuse(path):
    """The reviews of an archive, or None where a DataError refuses them."""
    try:
        return load_imdb(path, validation_split=0.5)
    except DataError:
        return None


def same(one, other):
    return np.array_equal(one.train.texts, other.train.texts) and np.array_equal(
        one.test.texts, other.test.texts
    )


@given(st.floats(0, 1, exclude_max=True))
@example(0.0)
def test_an_archive_that_is_cut_anywhere_is_refused_or_the_same(share):
    with small_archive() as path:
        whole = load_imdb(path, validation_split=0.5)
        content = path.read_bytes()
        path.write_bytes(content[: int(share * len(content))])
        cut = load_or_refuse(path)
        assert cut is None or same(cut, whole)


@given(st.floats(0, 1, exclude_max=True), st.integers(1, 255))
def test_an_archive_with_any_damaged_byte_is_refused_or_the_same(share, change):
    with small_archive() as path:
        whole = load_imdb(path, validation_split=0.5)
        content = bytearray(path.read_bytes())
        content[int(share * len(content))] ^= change
        path.write_bytes(content)
        damaged = load_or_refuse(path)
        assert damaged is None or same(damaged, whole)


KINDS = {
    "file": tarfile.REGTYPE,
    "folder": tarfile.DIRTYPE,
    "link": tarfile.SYMTYPE,
    "hard link": tarfile.LNKTYPE,
    "FIFO": tarfile.FIFOTYPE,
    "device": tarfile.CHRTYPE,
    "sparse": tarfile.GNUTYPE_SPARSE,
}
PART = st.sampled_from(
    ["..", "/", "", "aclImdb", "train", "pos", "0_1.txt", "9_9.txt", "~", "C:", "\\"]
) | st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]))
NAME = st.lists(PART, min_size=1, max_size=5).map("/".join)


@given(
    st.lists(st.tuples(NAME, st.sampled_from(sorted(KINDS)), NAME), max_size=4),
    st.booleans(),
)
def test_hostile_members_are_passed_over_or_refused_and_write_nothing(members, first):
    """Paths that climb out, links, devices and second copies, before and behind."""
    with small_archive() as path:
        whole = load_imdb(path, validation_split=0.5)
        with tarfile.open(path) as archive:
            own = [(m, archive.extractfile(m)) for m in archive if m.isfile()]
            own = [(m, file.read()) for m, file in own]
        hostile = []
        for name, kind, target in members:
            member = tarfile.TarInfo(name)
            member.type, member.linkname = KINDS[kind], target
            hostile.append((member, b""))
        with tarfile.open(path, "w:gz") as archive:
            for member, content in hostile + own if first else own + hostile:
                archive.addfile(member, io.BytesIO(content))
        before = sorted(path.parent.rglob("*"))
        found = load_or_refuse(path)
        assert found is None or same(found, whole)
        assert sorted(path.parent.rglob("*")) == before
