"""The recipe: a new study is one file and one entry."""

import importlib.util
import re
import subprocess
import sys
import textwrap

import pytest
from matplotlib import image
from stored_results import accuracy, store

from diffattn.cli import main
from diffattn.studies import STUDIES
from diffattn.studies.grid import grid
from diffattn.studies.report import draw, report
from diffattn.studies.results import read_results
from diffattn.studies.runner import run_grid
from diffattn.studies.study import Study

pytestmark = pytest.mark.slow

#: What somebody writes beside the other studies.
FILE = '''
"""Does a second epoch help?"""

from diffattn.studies.grid import grid
from diffattn.studies.study import Study


def report(runs):
    from diffattn.studies.formatting import Table

    means = runs.groupby("grid", sort=False)["test_accuracy"].mean()
    rows = [[name, f"{mean:.4f}"] for name, mean in means.items()]
    return [Table("Epochs", ["grid", "test accuracy"], rows)]


def draw(runs):
    from diffattn.studies.figures import plot_seeds

    runs = runs.assign(label=runs["grid"])
    return {"epochs": plot_seeds(runs, ("test_accuracy",))}


def train_for(epochs):
    return grid(["none"], seeds=2, epochs=epochs, early_stopping=False)


STUDY = Study(
    "epochs",
    "Does a second epoch help?",
    {f"epochs/{epochs}": train_for(epochs) for epochs in (1, 2)},
    report=report,
    figures=draw,
)
'''


@pytest.fixture
def study(tmp_path, monkeypatch):
    path = tmp_path / "epochs.py"
    path.write_text(textwrap.dedent(FILE))
    spec = importlib.util.spec_from_file_location("diffattn.studies.epochs", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    monkeypatch.setitem(STUDIES, module.STUDY.name, module.STUDY)
    return module.STUDY


def test_a_new_study_is_trained_reported_and_drawn(study, tmp_path, capsys):
    results, pictures = str(tmp_path / "results"), tmp_path / "pictures"
    main(["table", "--study", "epochs", "--into", results, "--figures", str(pictures)])
    out = capsys.readouterr().out
    assert out.startswith("Epochs\n\ngrid ")
    runs = read_results(results)
    assert runs["epochs"].tolist() == [1, 1, 2, 2]
    for name, of_grid in runs.groupby("grid"):
        mean = sum(of_grid["test_accuracy"]) / 2
        assert re.search(rf"^{name} +{mean:.4f}$", out, re.MULTILINE)
    assert [path.name for path in pictures.iterdir()] == ["epochs.png"]
    assert image.imread(pictures / "epochs.png").shape[2] == 4
    # What the study's own training gives, trained by itself.
    run_grid(study.grids["epochs/2"], tmp_path / "alone", progress=False)
    alone = read_results(tmp_path / "alone")["test_accuracy"].tolist()
    assert runs[runs["grid"] == "epochs/2"]["test_accuracy"].tolist() == alone


def test_the_help_asks_the_new_studys_question(study, capsys):
    with pytest.raises(SystemExit):
        main(["table", "--help"])
    help_text = re.sub(r"\s+", " ", capsys.readouterr().out)
    assert "epochs: Does a second epoch help?" in help_text


def test_a_study_that_brings_nothing_gets_means_differences_and_seeds(
    tmp_path, monkeypatch
):
    configs = grid(["scaled_dot_product", "none"], 3)
    monkeypatch.setitem(STUDIES, "plain", Study("plain", "?", {"plain/a": configs}))
    store(tmp_path / "plain" / "a", configs, accuracy)
    runs = read_results(tmp_path)
    titles = [table.title for table in report(runs)]
    assert titles == ["Plain, a", "Plain, a: differences"]
    (path,) = draw(runs, tmp_path / "pictures")
    assert path.name == "plain-a.png"


def test_the_names_are_the_studies_own():
    assert {name: study.name for name, study in STUDIES.items()} == {
        name: name for name in STUDIES
    }
    grids = [grid for study in STUDIES.values() for grid in study.grids]
    assert len(set(grids)) == len(grids)


def test_nothing_slow_is_loaded_to_know_the_studies():
    slow = {"tensorflow", "keras", "pandas", "scipy", "matplotlib"}
    program = f"import sys, diffattn.studies; print(*({slow} & sys.modules.keys()))"
    run = [sys.executable, "-c", program]
    answer = subprocess.run(run, capture_output=True, text=True, check=True)
    assert answer.stdout.split() == []
