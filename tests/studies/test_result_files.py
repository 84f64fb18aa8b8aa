import json
import shutil
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path

import pytest

import diffattn
from diffattn.costs import read_costs
from diffattn.errors import ResultError
from diffattn.names import METRICS
from diffattn.studies.grid import grid
from diffattn.studies.report import draw, report
from diffattn.studies.results import project_results, read_results, result_path
from diffattn.studies.runner import run_grid
from diffattn.training.config import Config

pytestmark = pytest.mark.slow

ROOT = Path(diffattn.__file__).parents[1]
CONFIGS = grid(["none"], 2, epochs=1)


def write(config, folder):
    folder.mkdir(parents=True, exist_ok=True)
    metrics = dict.fromkeys(METRICS, 0.5 + 0.1 * config.seed)
    document = {"config": asdict(config), "metrics": metrics, "provenance": {}}
    path = result_path(config, folder)
    path.write_text(json.dumps(document))
    return path


@pytest.fixture
def folder(tmp_path):
    for config in CONFIGS:
        write(config, tmp_path / "some")
    return tmp_path / "some"


def clutter(folder):
    """What file managers, editors and notebooks leave in a folder."""
    result = result_path(CONFIGS[0], folder)
    apple_double = b"\0\5\x16\7\0\2\0\0Mac OS X        "
    (folder / f"._{result.name}").write_bytes(apple_double)
    (folder / ".~lock.none-seed-0.json").write_text("{}")
    (folder / ".hidden.json").mkdir()
    for name in (".DS_Store", "Thumbs.db", f"{result.name}~", f"#{result.name}#"):
        (folder / name).write_bytes(b"\xff\0")
    copy = folder / ".ipynb_checkpoints" / "none-seed-0-checkpoint.json"
    copy.parent.mkdir()
    copy.write_bytes(result.read_bytes())


def test_what_other_programs_leave_is_no_result(folder, tmp_path):
    tables = [table.format() for table in report(read_results(folder))]
    clutter(folder)
    assert len(read_results(folder)) == 2
    assert [table.format() for table in report(read_results(folder))] == tables
    run_grid([*CONFIGS], folder)
    (picture,) = draw(read_results(folder), tmp_path / "pictures")
    assert picture.exists()


def test_what_other_programs_leave_does_not_stop_a_grid(tmp_path):
    write(CONFIGS[0], tmp_path)
    clutter(tmp_path)
    run_grid(CONFIGS, tmp_path, progress=False)
    assert [*read_results(tmp_path)["seed"]] == [0, 1]


def folder_of_that_name(path):
    path.mkdir()


def link_to_nothing(path):
    path.symlink_to("nowhere")


def utf_16(path):
    path.write_text("{}", encoding="utf-16")


def endless(path):
    path.write_text("[" * 10**6)


@pytest.mark.parametrize(
    "make", [folder_of_that_name, link_to_nothing, utf_16, endless, Path.touch]
)
@pytest.mark.parametrize("read", [read_results, read_costs])
def test_a_file_that_is_no_result_is_named(make, read, tmp_path):
    """It is never left out in silence: it may be a seed that is damaged."""
    make(tmp_path / "none-seed-9.json")
    if read is not read_costs:
        write(CONFIGS[0], tmp_path)
    with pytest.raises(ResultError, match=r"none-seed-9\.json (is not a|cannot be re)"):
        read(tmp_path)


@pytest.mark.parametrize("read", [read_results, read_costs])
def test_a_folder_that_is_missing_or_empty_is_named(read, tmp_path):
    with pytest.raises(ResultError, match=r"there is no folder .*nowhere"):
        read(tmp_path / "nowhere")
    (tmp_path / "._a.json").touch()
    with pytest.raises(ResultError, match=f"there are no results in {tmp_path}"):
        read(tmp_path)


def test_a_folder_in_the_users_home(folder, monkeypatch):
    monkeypatch.setenv("HOME", str(folder.parent))
    monkeypatch.chdir(folder.parent)
    assert [*read_results("~/some")["config"]] == [*read_results(folder)["config"]]
    assert result_path(CONFIGS[0], "~/some") == result_path(CONFIGS[0], folder)
    (picture,) = draw(read_results("~/some"), "~/pictures")
    assert picture == folder.parent / "pictures" / "some.png"
    run_grid([Config(attention_type="none", epochs=1)], "~/new", progress=False)
    assert [*read_results(folder.parent / "new")["label"]] == ["none"]
    (folder.parent / "costs").mkdir()
    (folder.parent / "costs" / "steps.json").write_text('{"measured": []}')
    assert read_costs("~/costs") == {"steps": []}
    assert not (folder.parent / "~").exists()


def test_the_projects_results_are_beside_the_chapters(monkeypatch, tmp_path):
    monkeypatch.chdir(ROOT / "book")
    assert project_results() == Path("../results")
    monkeypatch.chdir(tmp_path)
    assert project_results() == ROOT / "results"


def test_where_the_projects_results_are_missing_the_way_out_is_told(tmp_path):
    shutil.copytree(ROOT / "diffattn", tmp_path / "diffattn")
    code = "from diffattn.studies.results import project_results; project_results()"
    answer = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        env={"PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    last = answer.stderr.splitlines()[-1]
    assert last.startswith("diffattn.errors.ResultError: ")
    assert "repository" in last
    assert "run the chapter in its folder book" in last
