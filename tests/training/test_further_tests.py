"""What is kept of a run besides its figures: answers, further tests, parameters."""

import json
from dataclasses import replace

import numpy as np
import pytest
from keras import ops
from tools import worst

from diffattn.attention.layer import CustomMultiheadAttention
from diffattn.attention.registry import REGISTRY, Parameter, Score
from diffattn.data import DATASETS, Dataset
from diffattn.data.reviews import Reviews, split_generated
from diffattn.names import KEPT
from diffattn.studies.results import read_result, read_results
from diffattn.studies.runner import train_one
from diffattn.training.answers import unpack_right
from diffattn.training.config import Config
from diffattn.training.fit import fit_and_evaluate
from diffattn.training.run import load_run, train
from diffattn.training.task import TASKS, get_task
from diffattn.training.tokens import tokenize

SETTINGS = {
    "data": "majority",
    "attention_type": "none",
    "epochs": 1,
    "embed_dim": 4,
    "num_heads": 2,
    "dropout": 0.0,
    "learning_rate": 0.02,
    "mask_padding": True,
}


def made(count, length, seed):
    """Texts that are positive where they say yes more often than no."""
    random = np.random.RandomState(seed)
    words = random.choice(["yes", "no", "so"], size=(count, length))
    labels = (words == "yes").sum(1) > (words == "no").sum(1)
    texts = np.array([" ".join(text) for text in words], dtype=object)
    return Reviews(texts, labels.astype("int32"))


def load(config, progress=False):
    data = split_generated("majority", made(400, 5, 0), made(101, 5, 1), 0.2, 0)
    longer = made(77, 31, 2)
    longer.texts[3] = "yes no maybe " * 13  # with a word that training never saw
    return replace(data, tests={"same": data.test, "longer": longer})


@pytest.fixture(autouse=True)
def _majority(monkeypatch):
    settings = {"sequence_length": 5, "vocabulary_size": 5}
    entry = Dataset("majority", "more yes than no", load, settings=settings)
    monkeypatch.setitem(DATASETS, "majority", entry)


def result_of(tmp_path, **settings):
    return train_one(Config(**{**SETTINGS, **settings}), tmp_path / "run")


def test_the_answers_are_those_of_the_metric(tmp_path):
    result = result_of(tmp_path)
    right = unpack_right(result["right"]["test"])
    assert len(right) == 101
    assert right.mean() == pytest.approx(result["metrics"]["test_accuracy"], abs=1e-6)
    assert 0.4 < right.mean() < 1


def test_the_answers_are_those_of_each_text(tmp_path):
    run = train(output=tmp_path, verbose=0, **SETTINGS)
    test = load(run.config).test
    expected = (run.predict(list(test.texts)) > 0.5) == (test.labels == 1)
    assert unpack_right(run.right["test"]).tolist() == expected.tolist()


def test_the_same_texts_as_a_further_test_have_the_same_figures(tmp_path):
    result = result_of(tmp_path, attention_type="scaled_dot_product")
    same, metrics = result["tests"]["same"], result["metrics"]
    assert same["right"] == result["right"]["test"]
    assert same["loss"] == pytest.approx(metrics["test_loss"], abs=1e-6)
    assert same["accuracy"] == pytest.approx(metrics["test_accuracy"], abs=1e-6)


def test_longer_texts_are_read_to_their_end(tmp_path):
    """The baseline by hand: the mean over all words of each text."""
    config = Config(**SETTINGS)
    data = tokenize(config)
    model, result = fit_and_evaluate(config, data, tmp_path, verbose=0)
    table, kernel, bias = (w.astype("float64") for w in model.get_weights())
    vocabulary = {word: n for n, word in enumerate(data.vectorizer.get_vocabulary())}
    longer = load(config).tests["longer"]
    logits = [
        table[[vocabulary.get(word, 1) for word in text.split()]].mean(0) @ kernel[:, 0]
        for text in longer.texts
    ] + bias
    loss = np.logaddexp(0, np.where(longer.labels == 1, -logits, logits)).mean()
    right = (logits > 0) == (longer.labels == 1)
    found = result["tests"]["longer"]
    assert data.tests["longer"][0].shape == (77, 39)
    assert found["loss"] == pytest.approx(loss, abs=1e-5)
    assert found["accuracy"] == pytest.approx(right.mean(), abs=1e-6)
    assert unpack_right(found["right"]).tolist() == right.tolist()


def test_only_further_tests_are_described():
    data = load(None)
    described = data.describe()
    assert described.pop("tests") == {"same": 101, "longer": 77}
    assert replace(data, tests={}).describe() == described
    assert set(described) == {"name", "fingerprint", "train", "validation", "test"}


def test_a_task_of_many_answers_keeps_none(tmp_path):
    config = Config(**SETTINGS)
    task = replace(get_task("sentiment"), find_right=None)
    _, result = fit_and_evaluate(
        config, replace(tokenize(config), task=task), tmp_path, verbose=0
    )
    assert "right" not in result
    assert set(result["tests"]["longer"]) == {"loss", "accuracy"}


def test_what_scores_have_learned_is_kept_by_layer(tmp_path, monkeypatch):
    class Tempered(Score):
        """A dot product with a learned factor for each head and a bias."""

        name = "tempered"

        def parameters(self, num_heads, head_dim):
            return {
                "factor": Parameter((num_heads, 1, 1), "ones"),
                "bias": Parameter((), "zeros"),
            }

        def __call__(self, query, key, scale, *, factor, bias):
            return scale * factor * ops.matmul(query, ops.swapaxes(key, -1, -2)) + bias

    monkeypatch.setitem(REGISTRY, "tempered", Tempered())
    config = Config(**{**SETTINGS, "attention_type": "tempered", "layers": 2})
    model, result = fit_and_evaluate(config, tokenize(config), tmp_path, verbose=0)
    layers = [x for x in model.layers if isinstance(x, CustomMultiheadAttention)]
    assert list(result["parameters"]) == [layer.name for layer in layers]
    for layer in layers:
        kept = result["parameters"][layer.name]
        assert set(kept) == {"factor", "bias"}
        factor = layer.score_parameters["factor"].numpy()
        assert np.shape(kept["factor"]) == (2, 1, 1)
        assert worst(kept["factor"], factor) <= 0.5000001e-6 + 1e-7
        assert kept["factor"] != [[[1.0]], [[1.0]]]
    json.dumps(result["parameters"])


def test_results_with_and_without_them_are_read(tmp_path):
    result = result_of(tmp_path)
    old = {name: value for name, value in result.items() if name not in KEPT}
    folder = tmp_path / "results"
    folder.mkdir()
    old["config"] = {**old["config"], "seed": 1}
    for number, document in enumerate([result, old]):
        (folder / f"{number}.json").write_text(json.dumps(document))
    assert read_result(folder / "0.json")[1]["right"] == result["right"]
    runs = read_results(folder)
    assert runs["right"].tolist() == [result["right"], None]
    assert runs["tests"][0]["longer"] == result["tests"]["longer"]
    assert runs["parameters"].tolist() == [None, None]


def test_runs_with_and_without_them_are_loaded(tmp_path):
    run = train(output=tmp_path, verbose=0, **SETTINGS)
    loaded = load_run(run.path)
    assert loaded.right == run.right
    assert loaded.tests == run.tests
    assert loaded.parameters == {}
    path = run.path / "run.json"
    document = json.loads(path.read_text())
    assert set(document) == {
        "config", "history", "metrics", "provenance", "right", "tests"
    }  # fmt: skip
    for part in ("right", "tests"):
        del document[part]
    path.write_text(json.dumps(document))
    assert load_run(run.path).right == {}


def test_recall_counts_its_values_and_answers_with_one():
    task = TASKS["recall"]
    assert task.count_outputs(np.array([2, 0, 1, 1])) == 3
    with pytest.raises(ValueError, match=r"all of 0 to the highest.*3 .*from 0 to 4"):
        task.count_outputs(np.array([0, 1, 4]))
    logits = np.array([[0.0, 2, 1], [3, 2, 1], [0, 0, 1]])
    assert task.find_right(logits, np.array([1, 1, 2])).tolist() == [True, False, True]
    assert task.format_answer(np.array([0.1, 0.7, 0.2])) == "v1"
