from pathlib import Path

import pytest

from diffattn.errors import UserError
from diffattn.files import check_folder, expand


def test_a_tilde_is_the_home_folder(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    assert expand("~/runs") == tmp_path / "runs"
    assert expand("~") == tmp_path
    assert expand(Path("~/runs")) == tmp_path / "runs"
    # Anywhere else it is an ordinary character, as in a shell.
    for path in ("runs~", "a/~/b", "", "/~"):
        assert expand(path) == Path(path)


def test_an_unknown_users_home_is_named():
    for function in (expand, check_folder):
        with pytest.raises(UserError, match="cannot expand ~nobody-here/x: there is"):
            function("~nobody-here/x")
