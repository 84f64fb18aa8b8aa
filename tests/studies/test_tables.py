import csv
import io
import json
import re
from dataclasses import asdict

import numpy as np
import pytest
from scipy import stats

from diffattn.data.sample import sample_ceiling
from diffattn.errors import ResultError
from diffattn.names import METRICS, MODEL_TYPES
from diffattn.studies.grid import grid
from diffattn.studies.published import PUBLISHED
from diffattn.studies.results import read_results, result_path
from diffattn.studies.tables import (
    compare_with_value,
    draw,
    report,
    table_of_differences,
    table_of_means,
    table_of_published,
    write_csv,
)
from diffattn.training.config import Config


def store(folder, configs, metrics):
    """Results whose test accuracy is what `metrics` gives for a configuration."""
    folder.mkdir(parents=True, exist_ok=True)
    for config in configs:
        found = metrics(config)
        document = {"config": asdict(config), "provenance": {}}
        if isinstance(found, str):
            document["error"] = found
        else:
            document["metrics"] = dict.fromkeys(METRICS, found)
        result_path(config, folder).write_text(json.dumps(document))
    return read_results(folder)


#: What a type adds to its seed's share of the accuracy.
ADDED = {"differential": 0.1, "l1_norm": 0.0001, "l2_norm": 0.0}


def accuracy(config):
    """Seeds differ widely, types in little but what `ADDED` says."""
    seed, place = config.seed, MODEL_TYPES.index(config.attention_type)
    noise = 0.001 * ((seed * (place + 1)) % 3 - 1)
    if config.attention_type == "l2_norm":
        noise *= 100
    return 0.5 + 0.05 * seed + ADDED.get(config.attention_type, 0) + noise


@pytest.fixture
def results(tmp_path):
    return store(tmp_path / "results", grid(MODEL_TYPES, 5), accuracy)


def test_means_and_intervals(results):
    table = table_of_means("Means", results)
    assert table.headers[0] == "attention"
    assert [row[0] for row in table.rows] == list(MODEL_TYPES)
    values = [r["metrics"]["test_accuracy"] for r in results["l1_norm"]]
    interval = stats.ttest_1samp(values, 0).confidence_interval()
    half = (interval.high - interval.low) / 2
    assert table.rows[2][4] == f"{np.mean(values):.4f} ± {half:.4f}"
    assert table.rows[2][5] == "5"
    assert "0.95" not in table.notes[0]
    assert "95%" in table.notes[0]


def test_the_verdicts_follow_the_results(results):
    table = table_of_differences("Differences", results)
    verdicts = {row[0]: row[-1] for row in table.rows if row[1] == "test accuracy"}
    assert verdicts["differential"] == "differs"
    assert verdicts["l2_norm"] == "too few seeds"
    assert re.fullmatch(r"does not differ within ±0\.00\d\d", verdicts["l1_norm"])
    assert "scaled_dot_product" not in verdicts
    sentence = table.notes[-1]
    assert sentence.startswith("Test accuracy, against scaled_dot_product: ")
    assert re.search(r"\bdifferential: differs by \+0\.(099|1)", sentence)
    assert "l2_norm: too few seeds" in sentence


def test_a_failed_run_stays_in_the_table(tmp_path):
    def metrics(config):
        return "DivergenceError: loss is nan" if config.seed == 1 else 0.5

    results = store(tmp_path / "failing", grid(["none"], 3), metrics)
    table = table_of_means("Means", results)
    assert table.rows == [["none", *["0.5000 ± 0.0000"] * 4, "3, 1 failed"]]
    assert table.notes[1] == "Failed: none, seed 1: DivergenceError: loss is nan"
    everywhere = store(tmp_path / "lost", grid(["none"], 2), lambda _: "MemoryError: ")
    assert table_of_means("Means", everywhere).rows[0][1:] == [
        *["–"] * 4,
        "2, 2 failed",
    ]


def test_published_figures_inside_and_outside(tmp_path):
    """A baseline that always gives about what the first published row says."""
    results = store(
        tmp_path / "baseline", grid(["none"], 20), lambda c: 0.3 + 1e-4 * c.seed
    )
    for result in results["none"]:
        noise = 2e-4 * (result["config"]["seed"] % 2 - 0.5)
        result["metrics"] = {
            metric: value + noise
            for metric, value in zip(METRICS, PUBLISHED["l2_norm"], strict=True)
        }
    table = table_of_published("Published", results)
    cells = {row[0]: row[1:] for row in table.rows}
    assert all("inside" in cell for cell in cells["l2_norm, as published"])
    assert cells["scaled_dot_product, as published"][3] == "0.8728 OUTSIDE"
    inside = sum("inside" in cell for row in table.rows for cell in row)
    assert table.notes[1] == f"{inside} of the 24 published figures lie inside."
    (needed,) = (int(re.search(r"takes (\d+) seeds", n)[1]) for n in table.notes[-1:])
    # n = 2 (z₁ + z₂)² σ² / δ² where n is large; here a little more.
    deviation = np.std([r["metrics"]["test_accuracy"] for r in results["none"]], ddof=1)
    by_hand = 2 * 2.8**2 * deviation**2 / 0.001**2
    assert by_hand < needed < by_hand + 4
    # With the bound of five comparisons, z at 1 − 0.05 / 10.
    (more,) = (int(re.search(r"comparisons (\d+),", n)[1]) for n in table.notes[-1:])
    by_hand = 2 * (2.576 + 0.842) ** 2 * deviation**2 / 0.001**2
    assert by_hand < more < by_hand + 5


@pytest.mark.parametrize(
    "runs", [[0.87], ["MemoryError: "] * 3, [0.87, "MemoryError: "]]
)
def test_a_study_of_one_run_has_no_spread_to_report(tmp_path, runs):
    folder = tmp_path / "published" / "split-0.2"
    store(folder, grid(["none"], len(runs)), lambda config: runs[config.seed])
    (table,) = report(tmp_path)
    assert table.rows[0][-1].startswith(str(len(runs)))


def test_equal_runs_make_no_resolution(tmp_path):
    store(tmp_path / "published" / "split-0.2", grid(["none"], 3), lambda _: 0.87)
    *_, table = report(tmp_path)
    assert table.notes[-1].endswith("published figures lie inside.")


def test_what_cannot_be_compared_is_told(tmp_path):
    store(tmp_path, grid(["none"], 2, epochs=1), lambda _: 0.5)
    with pytest.raises(ResultError, match=r"different settings \(epochs=2, not 1\)"):
        store(tmp_path, grid(["l1_norm"], 2, epochs=2), lambda _: 0.5)


@pytest.mark.parametrize("found", ["MemoryError: ", 0.5])
def test_a_cell_of_fewer_than_two_runs_has_no_nan(found, tmp_path):
    for name in ("sample", "order/length-24-distance-1"):
        store(tmp_path / name, grid(MODEL_TYPES, 1), lambda _: found)
    for table in report(tmp_path):
        assert "nan" not in table.format()


def test_results_in_the_folder_itself_have_its_name(tmp_path, monkeypatch):
    store(tmp_path / "mine", grid(["none"], 2), accuracy)
    monkeypatch.chdir(tmp_path / "mine")
    assert report(".")[0].title == "Mine"
    (path,) = draw(".", "pictures")
    assert path.name == "mine.png"
    assert path.exists()


def test_chance_is_told_from_sight(tmp_path):
    def metrics(config):
        wobble = 0.002 * (config.seed % 3 - 1)
        return (0.9 if config.attention_type == "differential" else 0.5) + wobble

    results = store(
        tmp_path / "order" / "length-24-distance-1",
        grid(MODEL_TYPES, 6, data="order"),
        metrics,
    )
    compared = compare_with_value({"order/length-24-distance-1": results}, 0.5)
    verdicts = {
        label: of["order/length-24-distance-1"] for label, of in compared.items()
    }
    assert verdicts.pop("differential").verdict == "differs"
    assert {v.verdict for v in verdicts.values()} == {"does not differ"}
    longer = grid(["differential"], 2, data="order", distance=2, epochs=60)
    store(tmp_path / "order" / "length-24-distance-2-epochs-60", longer, metrics)
    (table,) = report(tmp_path)
    assert table.headers[1:] == ["24 tokens, 1 apart", "24 tokens, 2 apart, 60 epochs"]
    assert [row[0] for row in table.rows if row[1].endswith("*")] == ["differential"]


def test_a_report_is_of_one_folder_or_of_all_studies(tmp_path):
    store(tmp_path / "all" / "sample", grid(MODEL_TYPES, 2), accuracy)
    one = report(tmp_path / "all" / "sample")
    assert [t.rows for t in one] == [t.rows for t in report(tmp_path / "all")]
    types = len(MODEL_TYPES)
    assert [len(t.rows) for t in one] == [types, 2 * (types - 1)]
    with pytest.raises(ResultError, match="there are no results in"):
        report(tmp_path)


def test_the_ceiling_itself_is_not_above_the_ceiling(tmp_path):
    """Metrics are float32: 0.8 is 0.800000012 there."""

    def metrics(config):
        above = config.attention_type == "differential"
        return float(np.float32(sample_ceiling() + 0.1 * above))

    store(tmp_path / "sample", grid(MODEL_TYPES, 3), metrics)
    notes = report(tmp_path)[0].notes
    assert notes[-1].endswith("Above that: differential.")


def test_layouts(results):
    table = table_of_means("Means", results)
    assert "| attention " in table.format("pipe")
    assert table.format().splitlines()[0] == "Means"
    assert "|" not in table.format()
    assert table._repr_markdown_().startswith("**Means**\n\n| attention ")


def test_csv_has_every_mean(tmp_path):
    results = store(tmp_path / "some", grid(["none", "l1_norm"], 3), accuracy)
    file = io.StringIO(newline="")
    write_csv(tmp_path / "some", file)
    rows = list(csv.DictReader(io.StringIO(file.getvalue())))
    assert len(rows) == 2 * len(METRICS)
    for row in rows:
        values = [r["metrics"][row["metric"]] for r in results[row["attention"]]]
        assert float(row["mean"]) == pytest.approx(np.mean(values))
        assert float(row["deviation"]) == pytest.approx(np.std(values, ddof=1))
        assert int(row["count"]) == 3
        assert row["grid"] == "some"


def test_pictures(tmp_path):
    store(tmp_path / "r" / "sample", grid(MODEL_TYPES, 2), accuracy)
    rival = grid(["scaled_dot_product"], 2, data="order", positional_encoding=True)
    for name in ("length-24-distance-1", "length-50-distance-1"):
        of_order = [*grid(MODEL_TYPES, 2, data="order"), *rival]
        store(tmp_path / "r" / "order" / name, of_order, accuracy)
    store(tmp_path / "r" / "published" / "split-0.2", grid(["none"], 3), accuracy)
    paths = draw(tmp_path / "r", tmp_path / "pictures")
    names = sorted(path.name for path in paths)
    assert names == ["order.png", "published-split-0.2.png", "sample.png"]
    assert all(path.stat().st_size > 10_000 for path in paths)


def test_a_label_tells_positions():
    config = Config(data="order", positional_encoding=True)
    assert config.label == "scaled_dot_product + positions"
    name = result_path(config, ".").name
    assert name == "scaled_dot_product-with-positions-seed-0.json"
