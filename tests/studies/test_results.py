"""Reading results; the truth is the JSON files themselves."""

import json
import math
from types import SimpleNamespace

import pytest
from stored_results import accuracy, store

from diffattn.errors import ResultError
from diffattn.names import METRICS, MODEL_TYPES
from diffattn.studies import STUDIES
from diffattn.studies.grid import grid
from diffattn.studies.results import (
    read_result,
    read_results,
    result_path,
)
from diffattn.training.config import MODEL_SETTINGS, Config

GOOD = dict.fromkeys(METRICS, 0.5)


def as_json(folder, name="none-seed-0.json", **document):
    folder.mkdir(exist_ok=True, parents=True)
    (folder / name).write_text(json.dumps(document))


def test_each_file_is_a_row(tmp_path):
    written = {}
    for config in grid(["none", "differential"], 3):
        figures = {m: 0.1 * n + config.seed / 10 for n, m in enumerate(METRICS)}
        epochs = 7 + config.seed
        losses = [0.7 - epoch / 100 for epoch in range(epochs)]
        written[config] = {
            "metrics": {**figures, "epochs": epochs, "kept_epoch": 2},
            "history": dict.fromkeys(
                ("loss", "accuracy", "val_loss", "val_accuracy"), losses
            ),
            "provenance": {"command": config.command(), "backend": "tensorflow"},
        }
        path = result_path(config, tmp_path)
        as_json(tmp_path, path.name, config=vars(config), **written[config])
    runs = read_results(tmp_path)
    assert len(runs) == len(written) == 6
    for run in runs.itertuples():
        result = written[run.config]
        assert run.study == ""
        assert run.grid == tmp_path.name
        assert run.label == run.attention_type == run.config.attention_type
        assert run.positional_encoding is False
        assert run.seed == run.config.seed
        for metric in (*METRICS, "epochs", "kept_epoch"):
            assert getattr(run, metric) == result["metrics"][metric]
        assert run.history == result["history"]
        assert run.provenance == result["provenance"]
    assert runs["error"].isna().all()


def test_rows_stand_by_model_then_seed_and_positions_behind(tmp_path):
    with_positions = grid(["l1_norm"], 2, data="order", positional_encoding=True)
    plain = grid(MODEL_TYPES, 11, data="order")
    runs = store(tmp_path, [*with_positions, *plain], lambda _: 0.5)
    expected = [(name, seed) for name in MODEL_TYPES for seed in range(11)]
    expected += [("l1_norm + positions", seed) for seed in range(2)]
    assert list(zip(runs["label"], runs["seed"], strict=True)) == expected
    assert runs["positional_encoding"].sum() == 2


def test_a_failed_run_has_its_error_and_no_metrics(tmp_path):
    def metrics(config):
        return "DivergenceError: loss is nan" if config.seed else 0.5

    runs = store(tmp_path, grid(["none"], 2), metrics).set_index("seed")
    assert runs["error"].isna().to_dict() == {0: True, 1: False}
    assert runs["error"][1] == "DivergenceError: loss is nan"
    for metric in METRICS:
        assert runs[metric][0] == 0.5
        assert math.isnan(runs[metric][1])
        assert runs[metric].dtype == "float64"
    all_failed = store(tmp_path / "all", grid(["none"], 2), lambda _: "MemoryError: ")
    assert all_failed["test_loss"].isna().all()
    assert all_failed["epochs"].isna().all()
    assert all_failed["test_loss"].mean() is not None  # a column of numbers still


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", ""),
        ("[]", ""),
        ("{}", "it has no 'config'"),
        ('{"config": {"speed": 1}}', "got an unexpected .* 'speed'"),
        ('{"config": {"epochs": 0}}', "epochs must be a positive integer"),
        ('{"config": {}}', "it has no 'metrics'"),
        ('{"config": {}, "metrics": {"test_loss": 0}}', "it has no 'validation_loss'"),
        ('{"config": {}, "metrics": null}', ""),
        ('{"config": {}, "error": null}', "error must be text. Received: None"),
    ],
)
def test_a_file_that_is_no_result(tmp_path, content, message):
    (tmp_path / "none-seed-0.json").write_text(content)
    with pytest.raises(
        ResultError, match=rf"none-seed-0\.json is not a result: .*{message}"
    ):
        read_results(tmp_path)


@pytest.mark.parametrize("value", [math.nan, math.inf, "0.5", None, True, [0.5]])
@pytest.mark.parametrize("metric", METRICS)
def test_a_metric_that_is_no_finite_number(tmp_path, metric, value):
    as_json(tmp_path, config={}, metrics={**GOOD, metric: value})
    with pytest.raises(ResultError, match=rf"not a result: {metric} must be a"):
        read_results(tmp_path)


def test_a_result_without_a_newer_setting_has_its_default(tmp_path):
    settings = vars(Config(seed=3, distance=4)).copy()
    for name in ("seed", "distance"):
        del settings[name]
    as_json(tmp_path, config=settings, metrics=GOOD)
    (config,) = read_results(tmp_path)["config"]
    assert config == Config()
    found, result = read_result(tmp_path / "none-seed-0.json")
    assert found == config
    assert result["config"] == vars(config)


def test_results_of_different_settings_cannot_be_compared(tmp_path):
    store(tmp_path, grid(["none"], 2, epochs=1), lambda _: 0.5)
    with pytest.raises(ResultError, match=r"different settings \(epochs=2, not 1\)"):
        store(tmp_path, grid(["l1_norm"], 2, epochs=2), lambda _: 0.5)


def test_a_folder_of_studies_is_read_grid_by_grid(tmp_path):
    of_sample = store(tmp_path / "sample", grid(MODEL_TYPES, 2), accuracy)
    short = grid(["none"], 3, data="imdb", epochs=1)
    store(tmp_path / "published" / "split-0.5", short, lambda _: 0.8)
    as_json(tmp_path / "benchmark", "steps.json", measured=[])
    runs = read_results(tmp_path)
    assert runs["study"].unique().tolist() == ["published", "sample"]
    assert runs.groupby("grid").size().to_dict() == {
        "sample": 2 * len(MODEL_TYPES),
        "published/split-0.5": 3,
    }
    alone = runs[runs["study"] == "sample"].reset_index(drop=True)
    differing = of_sample.compare(alone, keep_shape=False)
    assert set(differing.columns.get_level_values(0)) == {"study"}
    assert set(runs["study"]) <= set(STUDIES)


def test_a_label_tells_positions():
    config = Config(data="order", positional_encoding=True)
    assert config.label == "scaled_dot_product + positions"
    name = result_path(config, ".").name
    assert name == "scaled_dot_product-with-positions-seed-0.json"


@pytest.mark.parametrize(
    ("settings", "label", "name"),
    [
        ({"attention_type": "none"}, "none", "none"),
        (
            {"attention_type": "none", "convolution": 2},
            "none + convolution 2",
            "none-with-convolution-2",
        ),
        (
            {"causal": True, "positional_encoding": True},
            "scaled_dot_product + positions + causal",
            "scaled_dot_product-with-positions-with-causal",
        ),
        (
            {"layers": 2, "block": True, "embedding_dim": 32},
            "scaled_dot_product + 2 layers + block",
            "scaled_dot_product-with-2-layers-with-block",
        ),
    ],
)
def test_a_label_tells_all_that_makes_the_model(settings, label, name):
    config = Config(**settings, seed=4)
    assert config.label == label
    assert result_path(config, ".").name == f"{name}-seed-4.json"


def test_names_of_files_are_no_signs_to_a_shell():
    labels = {
        "a(lag=(1, 2))": "a-lag-1-2",
        "a(lag=(1, 2), learned=True)": "a-lag-1-2-learned-True",
        "a(coefficient=1.0)": "a-coefficient-1.0",
        "a(coefficient=-1.0)": "a-coefficient--1.0",
        "a(coefficient=1.0) + positions": "a-coefficient-1.0-with-positions",
    }
    for label, name in labels.items():
        path = result_path(SimpleNamespace(label=label, seed=0), ".")
        assert path.name == f"{name}-seed-0.json"
    assert len(set(labels.values())) == len(labels)


def test_models_of_one_table_may_differ_in_what_their_label_says(tmp_path):
    """A row for each, those with more behind; other settings are not comparable."""
    options = [{}, {"block": True}, {"layers": 2}, {"convolution": 2}, {"causal": True}]
    same = {"data": "order", "embedding_dim": 64}
    configs = [Config(**same, **more) for more in options]
    configs.append(Config(**same, attention_type="none", convolution=2))
    runs = store(tmp_path / "alike", configs, lambda _: 0.5)
    dot = "scaled_dot_product"
    assert runs["label"].tolist() == [
        dot, f"{dot} + block", f"{dot} + 2 layers", f"{dot} + convolution 2",
        "none + convolution 2", f"{dot} + causal",
    ]  # fmt: skip
    for name in MODEL_SETTINGS:
        assert runs[name].tolist() == [getattr(c, name) for c in runs["config"]]
    other = Config(**same, embedding_spread=0.3, causal=True)
    with pytest.raises(ResultError, match=r"embedding_spread=None, not 0\.3"):
        store(tmp_path / "other", [configs[0], other], lambda _: 0.5)
