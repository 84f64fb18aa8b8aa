"""Results that belong together, and those that do not."""

import json
import shutil
from dataclasses import asdict

import pytest

from diffattn.data.versions import STANDARDIZATION_VERSION
from diffattn.errors import ResultError
from diffattn.names import METRICS
from diffattn.studies.report import report, write_csv
from diffattn.studies.results import read_results, result_path
from diffattn.studies.runner import run_grid
from diffattn.training.config import Config

pytestmark = pytest.mark.slow


def store(folder, version, **settings):
    """Write a result as it was under a version of the standardization."""
    config = Config(**settings)
    provenance = {} if version == 1 else {"standardization": version}
    document = {"config": asdict(config), "provenance": provenance}
    document["metrics"] = dict.fromkeys(METRICS, 0.5)
    folder.mkdir(parents=True, exist_ok=True)
    path = result_path(config, folder)
    path.write_text(json.dumps(document))
    return path


@pytest.mark.parametrize("positions", [False, True])
def test_two_files_of_the_same_run_are_named(positions, tmp_path):
    settings = {"data": "sample", "positional_encoding": positions}
    path = store(tmp_path, 2, seed=0, **settings)
    store(tmp_path, 2, seed=1, **settings)
    store(tmp_path, 2, seed=0, data="sample", positional_encoding=not positions)
    assert len(read_results(tmp_path)) == 3
    copy = shutil.copy(path, tmp_path / "a copy.json")
    message = rf"a copy\.json and .*{path.name} are both of .*, seed 0: one run would"
    with pytest.raises(ResultError, match=message):
        read_results(tmp_path)
    with pytest.raises(ResultError, match=message):
        run_grid([Config(seed=2, **settings)], tmp_path, progress=False)
    copy.unlink()
    assert len(read_results(tmp_path)) == 3


def test_two_standardizations_in_one_folder_are_refused(tmp_path):
    for seed, version in enumerate((1, STANDARDIZATION_VERSION)):
        store(tmp_path / "imdb", version, data="imdb", seed=seed)
        store(tmp_path / "sample", version, data="sample", seed=seed)
    with pytest.raises(
        ResultError, match="imdb has runs of standardizations 1 and 2, "
    ):
        read_results(tmp_path / "imdb")
    # Generated reviews have the same tokens in both.
    assert len(read_results(tmp_path / "sample")) == 2


def test_a_grid_of_another_standardization_is_not_continued(tmp_path):
    store(tmp_path, 1, data="imdb", seed=0)
    configs = [Config(data="imdb", seed=seed) for seed in (0, 1)]
    with pytest.raises(ResultError, match="has runs of standardizations 1 and 2, "):
        run_grid(configs, tmp_path, progress=False)
    run_grid(configs[:1], tmp_path, progress=False)  # nothing to train


def test_a_table_names_an_old_standardization(tmp_path):
    for grid, version in (("split-0.2", 1), ("split-0.5", STANDARDIZATION_VERSION)):
        for seed in range(3):
            folder = tmp_path / "published" / grid
            store(folder, version, data="imdb", attention_type="none", seed=seed)
    notes = [" ".join(table.notes) for table in report(read_results(tmp_path))]
    assert [note.count("standardization 1; today's, 2") for note in notes] == [1, 0, 1]
    with open(tmp_path / "means.csv", "w", newline="") as file:
        write_csv(read_results(tmp_path), file)
    lines = (tmp_path / "means.csv").read_text().splitlines()
    assert lines[0].endswith(",count,standardization")
    assert [line[-2:] for line in lines[1:]] == [",1"] * 4 + [",2"] * 4
