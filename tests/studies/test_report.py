import csv
import io

import numpy as np
import pytest
from stored_results import accuracy, store

from diffattn.names import METRICS, MODEL_TYPES
from diffattn.studies.grid import grid
from diffattn.studies.report import draw, report, write_csv
from diffattn.studies.results import read_results


def test_results_in_the_folder_itself_have_its_name(tmp_path, monkeypatch):
    store(tmp_path / "mine", grid(["none"], 2), accuracy)
    monkeypatch.chdir(tmp_path / "mine")
    runs = read_results(".")
    assert report(runs)[0].title == "Mine"
    (path,) = draw(runs, "pictures")
    assert path.name == "mine.png"
    assert path.exists()


def test_a_report_is_of_one_folder_or_of_all_studies(tmp_path):
    one = report(store(tmp_path / "all" / "sample", grid(MODEL_TYPES, 2), accuracy))
    of_all = report(read_results(tmp_path / "all"))
    assert [table.rows for table in one] == [table.rows for table in of_all]
    types = len(MODEL_TYPES)
    assert [len(table.rows) for table in one] == [types, 2 * (types - 1)]


@pytest.mark.parametrize("made", ["MemoryError: ", 0.5])
def test_a_cell_of_fewer_than_two_runs_has_no_nan(made, tmp_path):
    for name in (
        *("sample", "order/length-24-distance-1", "published/split-0.2"),
        "mechanisms/embed-dim-64",
    ):
        store(tmp_path / name, grid(MODEL_TYPES, 1), lambda _: made)
    runs = read_results(tmp_path)
    assert runs["study"].nunique() == 4
    for table in report(runs):
        assert "nan" not in table.format()
    # Nothing to see in them, but nothing fails.
    assert len(draw(runs, tmp_path / "pictures")) == 5


def test_csv_has_every_mean(tmp_path):
    runs = store(tmp_path / "some", grid(["none", "l1_norm"], 3), accuracy)
    file = io.StringIO(newline="")
    write_csv(runs, file)
    rows = list(csv.DictReader(io.StringIO(file.getvalue())))
    assert len(rows) == 2 * len(METRICS)
    for row in rows:
        values = [accuracy(config) for config in grid([row["attention"]], 3)]
        assert float(row["mean"]) == pytest.approx(np.mean(values))
        assert float(row["deviation"]) == pytest.approx(np.std(values, ddof=1))
        assert int(row["count"]) == 3
        assert row["grid"] == "some"


def test_pictures(tmp_path):
    store(tmp_path / "r" / "sample", grid(MODEL_TYPES, 2), accuracy)
    rival = grid(["scaled_dot_product"], 2, data="order", positional_encoding=True)
    for name in ("length-24-distance-1", "length-70-distance-1"):
        of_order = [*grid(MODEL_TYPES, 2, data="order"), *rival]
        store(tmp_path / "r" / "order" / name, of_order, accuracy)
    store(tmp_path / "r" / "published" / "split-0.2", grid(["none"], 3), accuracy)
    paths = draw(read_results(tmp_path / "r"), tmp_path / "pictures")
    names = sorted(path.name for path in paths)
    assert names == ["order.png", "published.png", "sample-seeds.png", "sample.png"]
    assert all(path.stat().st_size > 10_000 for path in paths)
