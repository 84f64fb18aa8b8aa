"""The book and what it rests on: the package, and nothing from elsewhere."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest
import yaml
from jupyter_cache import get_cache
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError
from nbformat.v4 import new_code_cell, new_notebook
from tools import load_script, weekly_but

pytestmark = pytest.mark.book

ROOT = Path(__file__).parents[1]
BOOK = ROOT / "book"

# For each chapter, a mistake in its score: what it computes instead of `right`.
MISTAKES = {
    "scaled_dot_product": "right(self, q, k, scale) / q.shape[-1] ** 0.5",
    "cosine_similarity": "-right(self, q, k, scale)",
    "l1_norm": "2 * right(self, q, k, scale)",
    "l2_norm": "-right(self, q, k, scale)",
    "differential_sum": "2 * dot_products(q, k, scale) - right(self, q, k, scale)",
    "differential": "q[:, :, :, None] * k[:, :, None] * scale",
}

# In a function, so that a chapter's own names don't get in its way.
BREAK = """
def break_score():
    from diffattn.attention.scores import REGISTRY, dot_products

    score = type(REGISTRY["{name}"])
    right = score.__call__
    score.__call__ = lambda self, q, k, scale: {mistake}

break_score()
"""


@pytest.mark.parametrize("chapter", weekly_but(MISTAKES, "differential_sum"))
def test_a_mistake_in_a_score_ends_its_chapter(chapter):
    """Run as the book's build does, but with a wrong score in the registry."""
    notebook = nbformat.read(BOOK / f"{chapter}.ipynb", as_version=4)
    name = chapter.replace("differential_sum", "differentialSum")
    cell = BREAK.format(name=name, mistake=MISTAKES[chapter])
    notebook.cells.insert(0, new_code_cell(cell))
    settings = {"kernel_name": "python3", "timeout": 120}
    client = NotebookClient(
        notebook, resources={"metadata": {"path": str(BOOK)}}, **settings
    )
    with pytest.raises(CellExecutionError) as failure:
        client.execute()
    assert failure.value.ename == "AssertionError"


def test_a_chapter_run_elsewhere_says_where_its_results_are(monkeypatch, tmp_path):
    # With a package that is installed, and not beside its results.
    shutil.copytree(ROOT / "diffattn", tmp_path / "diffattn")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    notebook = nbformat.read(BOOK / "costs.ipynb", as_version=4)
    (tmp_path / "downloads").mkdir()
    folder = {"metadata": {"path": str(tmp_path / "downloads")}}
    with pytest.raises(CellExecutionError) as failure:
        NotebookClient(notebook, resources=folder, kernel_name="python3").execute()
    assert failure.value.ename == "ResultError"
    assert "run the chapter in its folder book" in failure.value.evalue


@pytest.mark.parametrize("chapter", sorted(BOOK.glob("*.ipynb")), ids=lambda p: p.stem)
def test_a_chapter_depends_on_no_folder_and_no_style_of_the_reader(chapter):
    """Results are asked of the package; figures begin from Matplotlib's defaults."""
    cells = nbformat.read(chapter, as_version=4).cells
    code = "\n".join(cell.source for cell in cells if cell.cell_type == "code")
    assert "../results" not in code
    assert ("new_figure(" in code) == ("matplotlib.rcdefaults()" in code)


@pytest.fixture
def build(monkeypatch, tmp_path):
    """The script that builds the book, for chapters in a folder of their own."""
    module = load_script(BOOK / "build.py")
    monkeypatch.setattr(module, "BOOK", tmp_path)
    monkeypatch.setattr(module, "KEPT", tmp_path / "kept")
    monkeypatch.setattr(module, "RAN", tmp_path / "kept" / "ran")
    monkeypatch.setattr(module, "BUILT", tmp_path / "searchindex.js")
    module.BUILT.touch()
    return module


def write_chapter(folder, code):
    chapter = new_notebook(cells=[new_code_cell(code, metadata={"tags": ["a"]})])
    nbformat.write(chapter, folder / "chapter.ipynb")
    return chapter


def test_the_pages_show_what_the_chapters_print_as_tests(build, tmp_path):
    chapter = write_chapter(tmp_path, "print(6 * 7)")
    (tmp_path / "copies").mkdir()
    build.run_chapters(tmp_path / "copies")
    _, shown = get_cache(build.KEPT).merge_match_into_notebook(chapter)
    assert shown.cells[0].outputs[0].text == "42\n"
    assert build.RAN.exists()


@pytest.mark.parametrize(
    ("changed", "made"),
    [("", []), ("book", ["pages"]), ("results", ["chapters", "pages"])],
)
def test_only_what_is_older_than_its_sources_is_made_again(
    build, monkeypatch, tmp_path, changed, made
):
    monkeypatch.setattr(build, "ROOT", tmp_path)
    done = []
    monkeypatch.setattr(build, "run_chapters", lambda folder: done.append("chapters"))
    monkeypatch.setattr(build, "run", lambda *command: done.append("pages"))
    build.KEPT.mkdir()
    for folder in ("book", "diffattn", "results"):
        (tmp_path / folder).mkdir()
        source = tmp_path / folder / "source"
        source.touch()
        os.utime(source, (1, 3 if folder == changed else 1))
    for file in (build.RAN, build.BUILT):
        file.touch()
        os.utime(file, (2, 2))
    build.main()
    assert done == made


def test_a_chapter_that_fails_leaves_no_book(build, tmp_path):
    write_chapter(tmp_path, "assert False")
    (tmp_path / "copies").mkdir()
    with pytest.raises(SystemExit):
        build.run_chapters(tmp_path / "copies")
    assert not build.BUILT.exists()
    assert not build.RAN.exists()


def alone(*command, **settings):
    """Run a command with no network but its own loopback."""
    unshare = ["unshare", "--map-root-user", "--net"]
    pipes = {"capture_output": True, "text": True}
    return subprocess.run([*unshare, *command], **pipes, **settings)


@pytest.fixture
def no_network():
    if not shutil.which("unshare") or alone("true").returncode:
        pytest.skip("needs unshare and the permission to use it")
    names = "import socket; print([name for _, name in socket.if_nameindex()])"
    assert alone(sys.executable, "-c", names).stdout == "['lo']\n"


def test_the_book_builds_without_a_network(no_network, tmp_path):
    """Cells do not run here: every chapter does in its own test, and they take
    minutes. Extensions, theme, maths and references are what might ask elsewhere.
    The figures that cells draw are missing, so that what refers to them warns."""
    book = tmp_path / "book"
    shutil.copytree(BOOK, book, ignore=shutil.ignore_patterns("_build"))
    config = yaml.safe_load((book / "_config.yml").read_text())
    config["execute"]["execute_notebooks"] = "off"
    config["sphinx"]["config"]["suppress_warnings"] = ["myst.domains", "ref.numref"]
    (book / "_config.yml").write_text(yaml.safe_dump(config))
    build = [Path(sys.executable).with_name("jupyter-book"), "build", "book", "--all"]
    built = alone(*build, "--warningiserror", "--keep-going", cwd=tmp_path)
    assert built.returncode == 0, built.stderr[-2000:]
    assert (book / "_build" / "html" / "index.html").exists()
