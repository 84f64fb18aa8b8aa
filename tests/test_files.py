from pathlib import Path

import pytest

from diffattn.errors import RunError, UserError
from diffattn.files import check_folder, delete, expand, hold, read_file, write_json


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


@pytest.mark.parametrize("path", ["a\0b", "\ud800"])
def test_what_no_path_can_be_is_named(path):
    for function in (expand, check_folder):
        with pytest.raises(UserError, match="no path "):
            function(path)


def test_a_document_that_cannot_be_written_leaves_nothing(tmp_path):
    path = tmp_path / "a.json"
    path.write_text("before")
    for document, error in (({"a": {1}}, TypeError), ({"a": "\ud800"}, None)):
        if error is None:  # JSON spells it as ASCII
            write_json(path, document)
        else:
            with pytest.raises(error):
                write_json(path, document)
            assert path.read_text() == "before"
    assert [p.name for p in tmp_path.iterdir()] == ["a.json"]
    path.unlink()
    path.mkdir()
    with pytest.raises(OSError, match="directory"):
        write_json(path, {})
    assert [p.name for p in tmp_path.iterdir()] == ["a.json"]


def test_a_file_may_have_so_many_bytes(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(b"12345")
    assert read_file(path, most=5) == read_file(path) == b"12345"
    with pytest.raises(OSError, match="more than 4 bytes"):
        read_file(path, most=4)


def test_deleting_a_link_leaves_what_it_points_to(tmp_path):
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "file").touch()
    (tmp_path / "link").symlink_to("folder")
    delete(tmp_path / "link")
    assert (tmp_path / "folder" / "file").exists()
    delete(tmp_path / "folder")
    delete(tmp_path / "folder")
    assert list(tmp_path.iterdir()) == []


def test_only_a_folder_that_is_there_can_be_held(tmp_path):
    with (
        pytest.raises(RunError, match="cannot be opened: No such file"),
        hold(tmp_path / "a"),
    ):
        pass
