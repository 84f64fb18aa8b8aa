"""The command line, given any nonsense that its own parser can be asked for."""

import argparse
import io
import os
import re
from contextlib import redirect_stderr
from tempfile import TemporaryDirectory

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from diffattn.cli import _parser, main

pytestmark = [pytest.mark.campaign, pytest.mark.slow]


def commands():
    """Each command's name, and its parser."""
    (choice,) = (
        a for a in _parser()._actions if isinstance(a, argparse._SubParsersAction)
    )
    return choice.choices


FLAGS = {
    name: sorted(
        flag
        for action in parser._actions
        for flag in action.option_strings
        if not isinstance(action, argparse._HelpAction)
    )
    for name, parser in commands().items()
}

#: What the operating system can hand over: anything but NUL; lone surrogates stand
#: for bytes that are not UTF-8.
CHARACTERS = st.characters(exclude_characters="\0")
NONSENSE = st.text(CHARACTERS) | st.sampled_from(
    [
        "--",
        "-",
        "~",
        "nan",
        "-inf",
        "1e999",
        "-1",
        "0",
        "0x10",
        "1_0",
        "٣",
        "[]",
        "None",
        "True",
        "none,none",
        ",",
        "a=b",
        "*",
        "%s",
        "{}",
        "..",
        ".",
        "differential(lag=0)",
        "differential(",
        "none()",
        "rotary(base=1)",
        ".x",
        "os.",
        "",
        "9" * 60,
        "\udcff",
    ]
)


@st.composite
def command_lines(draw):
    """A command of data that are not there, with options and words of any kind."""
    name = draw(st.sampled_from(sorted(FLAGS)))
    words = [name]
    for _ in range(draw(st.integers(0, 4))):
        flag = draw(st.sampled_from([*FLAGS[name], "--wrong"]))
        value = draw(NONSENSE)
        forms = ([flag, value], [f"{flag}={value}"], [flag], [value])
        words += draw(st.sampled_from(forms))
    return words


@given(command_lines())
@example(["train", "--data=--"])
@example(["table", "--import", ".x"])
@example(["predict", "x", "-"])
def test_nonsense_gets_one_line_and_status_2(words):
    # Nothing may train: the last of an option counts. What reads a run finds none.
    more = ["--data", "nowhere"] if words[0] in ("train", "table") else []
    errors = io.StringIO()
    with TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setenv("HOME", folder)
        patch.setenv("XDG_CACHE_HOME", os.path.join(folder, "cache"))
        with redirect_stderr(errors), pytest.raises(SystemExit) as stop:
            main([*words, *more])
    assert stop.value.code == 2
    assert re.fullmatch(r"diffattn.*: error: .*\n", errors.getvalue())
