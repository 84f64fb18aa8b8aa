"""The repository itself: what its files promise each other."""

import ast
import inspect
import json
import os
import re
import subprocess
import sys
import tomllib
import zipfile
from dataclasses import asdict
from pathlib import Path

import matplotlib.image
import pandas as pd
import pytest
import yaml

import diffattn
from diffattn.data.datasets import load_data
from diffattn.data.imdb import IMDB
from diffattn.scores import get_score
from diffattn.studies import STUDIES
from diffattn.studies.results import read_results

ROOT = Path(diffattn.__file__).parents[1]
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
CHAPTERS = sorted((ROOT / "book").glob("*.ipynb"))


def requirements():
    """All of pyproject's but the benchmark's peers, which are gigabytes."""
    project = PYPROJECT["project"]
    extras = project["optional-dependencies"].items()
    wanted = (r for name, extra in extras if name != "peers" for r in extra)
    return {*project["dependencies"], *wanted}


def test_environment_yml_equals_pyproject():
    packages = yaml.safe_load((ROOT / "environment.yml").read_text())["dependencies"]
    *pip, project = packages[-1]["pip"]
    assert set(pip) == requirements()
    assert packages[0] == "python" + PYPROJECT["project"]["requires-python"]
    assert "--editable ." in project


def test_the_lock_has_every_package_with_hashes_and_no_address():
    lock = (ROOT / "requirements.lock").read_text()
    assert "://" not in lock
    assert "--index" not in lock
    assert "--find-links" not in lock
    pins = re.split(r"\n(?=\S)", re.sub(r"^#.*\n", "", lock, flags=re.MULTILINE))
    pins = [pin for pin in pins if pin.strip()]
    assert all("==" in pin and "--hash=sha256:" in pin for pin in pins)
    names = {re.match(r"[\w.-]+", pin).group().replace("_", "-") for pin in pins}
    wanted = {re.match(r"[\w.-]+", r).group().replace("_", "-") for r in requirements()}
    assert wanted <= names


def test_the_version_is_the_same_everywhere():
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert citation["version"] == diffattn.__version__
    assert f"## {diffattn.__version__}" in (ROOT / "CHANGELOG.md").read_text()


@pytest.mark.slow
def test_the_wheel_installs_by_itself(tmp_path):
    """Built from the checkout, unpacked elsewhere, imported from there."""
    build = (
        "import sys; from flit_core.buildapi import build_wheel as b; b(sys.argv[1])"
    )
    run = {"check": True, "capture_output": True, "text": True}
    subprocess.run([sys.executable, "-c", build, tmp_path], cwd=ROOT, **run)
    (wheel,) = tmp_path.glob("diffattn-*.whl")
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
        archive.extractall(tmp_path / "site")
    modules = {str(p.relative_to(ROOT)) for p in (ROOT / "diffattn").rglob("*.py*")}
    modules = {name for name in modules if "__pycache__" not in name}
    assert modules | {"diffattn/py.typed"} <= set(names)
    assert not [name for name in names if name.startswith(("tests", "book"))]
    where = "import diffattn; print(diffattn.attend.__module__, diffattn.__file__)"
    answer = subprocess.run(
        [sys.executable, "-c", where],
        cwd=tmp_path / "site",
        env={**os.environ, "PYTHONPATH": str(tmp_path / "site")},
        **run,
    )
    assert answer.stdout.split()[1].startswith(str(tmp_path))


@pytest.mark.parametrize("path", ["_config.yml", "_toc.yml"])
def test_the_books_configuration_is_where_both_look(path):
    assert (ROOT / path).read_text() == (ROOT / "book" / path).read_text()


@pytest.mark.parametrize("chapter", CHAPTERS, ids=lambda path: path.stem)
def test_a_chapter_is_stored_without_outputs_and_kernel(chapter):
    notebook = json.loads(chapter.read_text())
    assert "kernelspec" not in notebook["metadata"]
    for cell in notebook["cells"]:
        if cell["cell_type"] == "code":
            assert cell["outputs"] == []
            assert cell["execution_count"] is None


def test_every_chapter_is_in_the_table_of_contents():
    toc = yaml.safe_load((ROOT / "book" / "_toc.yml").read_text())
    listed = {chapter["file"] for part in toc["parts"] for chapter in part["chapters"]}
    assert {path.stem for path in CHAPTERS} <= {toc["root"], *listed}


GRIDS = {
    name: configs
    for study in STUDIES.values()
    for name, configs in study.grids.items()
    if (ROOT / "results" / name).exists()
}


@pytest.mark.slow
@pytest.mark.parametrize("name", GRIDS)
def test_a_grids_results_are_its_own_and_of_these_data(name):
    configs = GRIDS[name]
    runs = read_results(ROOT / "results" / name)
    kept = [json.dumps(asdict(config)) for config in runs["config"]]
    wanted = [json.dumps(asdict(config)) for config in configs]
    assert sorted(set(kept)) == sorted(kept)
    assert set(kept) <= set(wanted)
    made_from = runs["provenance"][runs["error"].isna()].iloc[0]["data"]
    fingerprint = fingerprint_of(configs[0]) or made_from["fingerprint"]
    for run in runs.itertuples():
        assert run.provenance["command"] == run.config.command()
        assert re.fullmatch(r"[0-9a-f]{40}", run.provenance["commit"])
        if pd.isna(run.error):
            assert run.provenance["data"]["fingerprint"] == fingerprint


def fingerprint_of(config):
    """Today's fingerprint of the data; None for what is made of the real reviews.

    That takes long: tests/data/test_sentences.py compares it where it reads them.
    """
    if config.data == "imdb":
        return IMDB.fingerprint
    if config.data in ("imdb-shuffled", "sentences"):
        return None
    return load_data(config).fingerprint


@pytest.mark.slow
def test_the_picture_is_the_one_of_the_results(tmp_path):
    draw = [sys.executable, ROOT / "results" / "draw.py", tmp_path]
    subprocess.run(draw, check=True, capture_output=True)
    pictures = sorted(tmp_path.glob("*.png"))
    assert "sample.png" in {picture.name for picture in pictures}
    for picture in pictures:
        drawn = matplotlib.image.imread(picture)
        shown = matplotlib.image.imread(ROOT / "book" / "_static" / picture.name)
        assert drawn.shape == shown.shape
        # A dot that has moved is some fifty pixels.
        assert (abs(drawn - shown).max(axis=-1) > 0.1).sum() < 20, picture.name


def test_the_readme_has_the_registrys_table():
    rows = [
        f"| `{kind.name}` | {formula(kind)} | {kind.cost} | "
        f"{'of neighbours' if kind.order_aware else 'no'} |"
        for kind in map(get_score, diffattn.ATTENTION_TYPES)
    ]
    assert "\n".join(rows) in (ROOT / "README.md").read_text()


def formula(kind):
    """With the scale that it has by itself, and no bar that ends a cell."""
    scale = kind.default_scale(4)
    assert scale == (0.5 if kind.name == "scaled_dot_product" else 1)
    return kind.plain_formula.replace("|", "\\|") + " / √d" * (scale != 1)


def public_functions():
    """Every function and method of the package that others may call, by its place."""
    for path in sorted((ROOT / "diffattn").rglob("*.py")):
        bodies = [ast.parse(path.read_text(encoding="utf-8"))]
        bodies += [
            node
            for node in bodies[0].body
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_")
        ]
        for body in bodies:
            for node in body.body:
                special = getattr(node, "name", "") in ("__init__", "__call__")
                if isinstance(node, ast.FunctionDef) and (
                    special or not node.name.startswith("_")
                ):
                    yield f"{path.name}:{node.lineno} {node.name}", node


def test_every_public_function_is_annotated():
    functions = dict(public_functions())
    assert len(functions) > 100
    bare = []
    for place, node in functions.items():
        a = node.args
        every = [*a.posonlyargs, *a.args, *a.kwonlyargs, a.vararg, a.kwarg]
        given = [x for x in every if x is not None and x.arg not in ("self", "cls")]
        if any(x.annotation is None for x in given) or (
            node.returns is None and node.name != "__init__"
        ):
            bare.append(place)
    assert bare == []


def test_public_names_have_docstrings():
    for name in diffattn.__all__:
        if name not in ("ATTENTION_TYPES", "__version__"):
            assert getattr(diffattn, name).__doc__


def test_the_reference_has_the_layers_signature():
    """Keras hides it from Sphinx behind (*args, **kwargs), so it is written out."""
    page = (ROOT / "book" / "api.md").read_text()
    (written,) = re.findall(r"autoclass:: CustomMultiheadAttention(\(.*\))", page)
    made = inspect.signature(diffattn.CustomMultiheadAttention.__init__)
    own = [p.replace(annotation=p.empty) for p in made.parameters.values()][1:]
    assert written.replace('"', "'") == str(made.replace(parameters=own))


def test_the_reference_has_every_public_name():
    page = (ROOT / "book" / "api.md").read_text()
    documented = re.findall(
        r"^\.\. (?:auto|py:)(?:data|class|function):: (\w+)", page, re.MULTILINE
    )
    assert sorted(documented) == sorted(set(diffattn.__all__) - {"__version__"})
