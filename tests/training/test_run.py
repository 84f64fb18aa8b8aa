import json
import os
import re
import shutil
from dataclasses import asdict
from pathlib import Path

import keras
import numpy as np
import pytest
import reference
import tensorflow as tf
from tools import ASCII, answer, weekly_but, worst
from training_case import SIGNS

from diffattn import Config, load_run, load_sample, train
from diffattn.data import imdb
from diffattn.data.datasets import load_data
from diffattn.errors import DataError, ResultError, RunError, UserError
from diffattn.files import write_json
from diffattn.studies.results import read_result
from diffattn.training import run as run_module
from diffattn.training.fit import fit_and_evaluate
from diffattn.training.run import _save, _start
from diffattn.training.tokens import tokenize

pytestmark = pytest.mark.slow

#: The files of a finished run.
WHOLE = {"model.keras", "run.json", "learning_curves.png"}


def test_the_folder_holds_the_whole_run(run):
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d-\d\d-\d\d", run.path.name)
    files = {file.name for file in run.path.iterdir()}
    assert files == WHOLE
    document = json.loads((run.path / "run.json").read_text())
    assert set(document) == {"config", "history", "metrics", "provenance", "right"}
    assert document["config"]["seed"] == 0
    provenance = document["provenance"]
    assert provenance["versions"]["keras"] == keras.__version__
    assert provenance["data"] == load_sample().describe()
    assert provenance["standardization"] == 2
    assert provenance["command"] == run.config.command()
    picture = (run.path / "learning_curves.png").read_bytes()
    assert picture.startswith(b"\x89PNG")


def test_tensorboard_logs_are_written_on_request(tmp_path):
    run = train(
        output=tmp_path, verbose=0, attention_type="none", epochs=1, tensorboard=True
    )
    assert list((run.path / "tensorboard").rglob("events.out.tfevents*"))


def test_runs_started_in_the_same_second_get_different_folders(tmp_path, monkeypatch):
    """Even if each checks before the others have made theirs."""
    monkeypatch.setattr(Path, "exists", lambda path: False)
    folders = {_start(tmp_path, Config()) for _ in range(3)}
    assert folders == {*tmp_path.iterdir()}
    assert len(folders) == 3


def test_an_unwritable_output_is_refused_before_the_data_are_read(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match=r"cannot make the folder .*file is not a wri"):
        train(output=tmp_path / "file" / "runs", data="not read")


def interrupt_in(name, monkeypatch):
    """Interrupt a training at the beginning of one of its last steps."""

    def interrupted(*arguments):
        raise KeyboardInterrupt

    monkeypatch.setattr(run_module, name, interrupted)


@pytest.mark.parametrize("step", ["_draw", "delete_checkpoints", "_rename"])
def test_an_interruption_at_the_end_leaves_a_run_to_finish(step, tmp_path, monkeypatch):
    settings = {"attention_type": "none", "epochs": 1}
    with monkeypatch.context() as patch:
        patch.setattr(run_module, "_start", start_in(tmp_path / "a.unfinished"))
        interrupt_in(step, patch)
        with pytest.raises(KeyboardInterrupt):
            train(output=tmp_path, verbose=0, **settings)
    if step != "_draw":  # nothing is left to train
        interrupt_in("fit_and_evaluate", monkeypatch)
    finished = train(resume=tmp_path / "a.unfinished", verbose=0)
    assert finished.path == tmp_path / "a"
    assert {file.name for file in finished.path.iterdir()} == WHOLE
    loaded = load_run(finished.path)
    assert loaded.metrics == finished.metrics
    assert loaded.metrics["epochs"] == 1


def start_in(folder):
    def start(output, config):
        folder.mkdir()
        write_json(folder / "run.json", {"config": asdict(config)})
        return folder

    return start


def test_a_run_appears_with_its_settings_or_not_at_all(tmp_path, monkeypatch):
    """Without them, its folder could be neither resumed nor loaded."""

    def full_disk(path, document):
        path.write_text("{")
        raise OSError("No space left")

    with monkeypatch.context() as patch:
        patch.setattr(run_module, "write_json", full_disk)
        with pytest.raises(OSError, match="No space left"):
            _start(tmp_path, Config())
    assert list(tmp_path.iterdir()) == []
    assert [p.name for p in _start(tmp_path, Config()).iterdir()] == ["run.json"]


def test_a_finished_run_of_that_name_is_not_overwritten(run, tmp_path):
    unfinished = tmp_path / "a.unfinished"
    shutil.copytree(run.path, unfinished)
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "note").touch()
    with pytest.raises(RunError, match=r"is whole, but .*/a is in the way: rename it"):
        train(resume=unfinished, verbose=0)
    (tmp_path / "a").rename(tmp_path / "b")
    assert load_run(train(resume=unfinished).path).metrics == run.metrics


WRONG_PARTS = [
    ("metrics", [1]),
    ("metrics", None),
    ("metrics", {"test_loss": float("nan")}),
    ("metrics", {"test_loss": float("inf")}),
    ("metrics", {"test_loss": 10**400}),
    ("metrics", {"test_loss": "0.5"}),
    ("metrics", {"test_loss": [0.5]}),
    ("metrics", {"test_accuracy": 7.5}),
    ("metrics", {"validation_accuracy": -0.5}),
    ("metrics", {"epochs": 0}),
    ("metrics", {"epochs": 2, "kept_epoch": 3}),
    ("history", None),
    ("history", []),
    ("history", {}),
    ("provenance", "here"),
    ("provenance", {"standardization": "2"}),
    ("right", {"test": "7:"}),
    ("right", {"test": 7}),
    ("right", ["test"]),
    ("tests", {"800 tokens": 0.5}),
    ("tests", {"800 tokens": {"loss": 0.5}}),
    ("tests", {"800 tokens": {"loss": 0.5, "accuracy": float("nan")}}),
    ("tests", {"800 tokens": {"loss": 0.5, "accuracy": 1.5}}),
    ("parameters", {"attention": {"lag": [[0.5], ["x"]]}}),
    ("parameters", {"attention": {"lag": float("inf")}}),
]


@pytest.mark.parametrize(("part", "value"), WRONG_PARTS, ids=str)
def test_a_document_with_wrong_values_is_refused(part, value, run, tmp_path):
    if isinstance(value, dict) and part == "metrics":
        value = {**run.metrics, **value}
    check_refused(run, part, value, tmp_path)


def check_refused(run, part, value, folder):
    """By a run and by a result, which have the same parts."""
    shutil.copy(run.path / "model.keras", folder / "model.keras")
    document = json.loads((run.path / "run.json").read_text())
    (folder / "run.json").write_text(json.dumps({**document, part: value}))
    with pytest.raises(RunError, match=r"run\.json does not describe a run: "):
        load_run(folder)
    with pytest.raises(ResultError, match=r"run\.json is not a result: "):
        read_result(folder / "run.json")


WRONG_HISTORIES = {
    "no val_loss": lambda history: without(history, "val_loss"),
    "no val_accuracy": lambda history: without(history, "val_accuracy"),
    "one too few": lambda history: {**history, "loss": history["loss"][1:]},
    "no list": lambda history: {**history, "loss": 0.5},
    "a text": lambda history: {**history, "loss": ["0.5", *history["loss"][1:]]},
    "nan": lambda history: {**history, "loss": [float("nan"), *history["loss"][1:]]},
}


def without(history, metric):
    return {name: values for name, values in history.items() if name != metric}


@pytest.mark.parametrize("change", WRONG_HISTORIES.values(), ids=WRONG_HISTORIES)
def test_a_history_that_no_run_has_is_refused(change, run, tmp_path):
    check_refused(run, "history", change(run.history), tmp_path)


def test_what_is_nested_too_deeply_is_refused(run, tmp_path):
    deep = 0.5
    for _ in range(900):  # json itself writes no deeper
        deep = [deep]
    check_refused(run, "parameters", {"attention": deep, "x": "y"}, tmp_path)


def test_a_model_of_something_else_is_refused(run, tmp_path):
    shutil.copytree(run.path, tmp_path / "run")
    text = keras.Input((4,))
    other = keras.Model(text, keras.layers.Dense(1, activation="sigmoid")(text))
    other.save(tmp_path / "run" / "model.keras")
    with pytest.raises(RunError, match="its model is not one of diffattn train"):
        load_run(tmp_path / "run")


@pytest.fixture(scope="module")
def recall_run(tmp_path_factory):
    """A run of another task than the rest."""
    small = {"pairs": 2, "sequence_length": 6, "epochs": 1, "embed_dim": 8}
    output = tmp_path_factory.mktemp("recall")
    return train(output=output, verbose=0, data="recall", **small)


def test_a_run_whose_data_set_is_not_known_here_says_so(recall_run, tmp_path):
    """The name of a data set of one's own is taken for a path, until it is imported."""
    shutil.copytree(recall_run.path, tmp_path / "run")
    document = recall_run.document()
    document["config"]["data"] = "mine"
    (tmp_path / "run" / "run.json").write_text(json.dumps(document))
    wrong = r"softmax, .* data='mine' in sigmoid; .*--import"
    with pytest.raises(RunError, match=wrong):
        load_run(tmp_path / "run")


def test_a_text_with_half_a_surrogate_pair_is_named(run):
    for read in (run.predict, run.attention):
        with pytest.raises(ValueError, match=r"texts\[0\]"):
            read("good \ud800")


@pytest.mark.skipif(os.name != "posix", reason="makes a POSIX pipe")
@pytest.mark.parametrize(
    "make", [os.mkfifo, os.mkdir, lambda path: path.symlink_to(path.name)]
)
def test_what_is_no_file_in_run_jsons_place_is_named(make, tmp_path):
    """A pipe would keep the reader waiting for ever."""
    for name, read in (("a", load_run), ("a.unfinished", resume)):
        (tmp_path / name).mkdir()
        make(tmp_path / name / "run.json")
        with pytest.raises(RunError, match=r"run\.json cannot be read: "):
            read(tmp_path / name)


def resume(path):
    return train(resume=path, verbose=0)


@pytest.mark.skipif(os.name != "posix", reason="makes a POSIX pipe")
def test_a_strangers_run_cannot_keep_one_waiting_for_its_data(run, tmp_path):
    os.mkfifo(tmp_path / "pipe")
    config = {**run.document()["config"], "data": str(tmp_path / "pipe")}
    (tmp_path / "a.unfinished").mkdir()
    (tmp_path / "a.unfinished" / "run.json").write_text(json.dumps({"config": config}))
    with pytest.raises(DataError, match="pipe, are neither a folder nor a file"):
        train(resume=tmp_path / "a.unfinished")


def test_only_an_unfinished_run_can_be_resumed(run, tmp_path):
    with pytest.raises(RunError, match="is not an unfinished run"):
        train(resume=run.path)
    with pytest.raises(RunError, match="there is no folder"):
        train(resume=tmp_path / "x.unfinished")
    with pytest.raises(ValueError, match=r"resume takes no settings\. Received: seed"):
        train(resume=run.path, seed=3)


def test_a_loaded_run_reads_raw_text_and_gives_the_stored_metrics(run):
    loaded = load_run(run.path)
    assert loaded.config == run.config
    assert loaded.history == run.history
    assert loaded.metrics == run.metrics
    test = load_sample().test
    measured = loaded.evaluate(test)
    assert measured["accuracy"] == pytest.approx(run.metrics["test_accuracy"], abs=1e-6)
    assert measured["loss"] == pytest.approx(run.metrics["test_loss"], abs=1e-5)
    # Independently: the mean of -log p of the true label.
    positive = loaded.predict(test.texts).astype("float64")
    probability = np.where(test.labels == 1, positive, 1 - positive)
    expected = -np.log(np.maximum(probability, 1e-7)).mean()
    assert measured["loss"] == pytest.approx(expected, abs=1e-5)
    assert loaded.predict("GOOD, but <br />not fun!") == loaded.predict(
        ["good but not fun"]
    )
    assert loaded.predict([]).shape == (0,)
    assert np.isfinite(loaded.predict([""])).all()


def test_the_loss_is_computed_from_logits_of_any_size(tmp_path):
    """Keras clips a probability at 1e-7, a loss of 16; these errors cost over 100."""
    run = train(output=tmp_path, verbose=0, attention_type="none", epochs=1)
    _, vectorizer, classifier, _ = run.model.layers
    table, weight, bias = classifier.get_weights()
    weight, bias = weight * 10_000, bias * 10_000
    classifier.set_weights([table, weight, bias])
    test = load_sample().test
    tokens = vectorizer(test.texts).numpy()
    is_word = tokens[..., None] > 0
    mean = (table.astype("float64")[tokens] * is_word).sum(1) / is_word.sum(1)
    logits = (mean @ weight.astype("float64") + bias)[:, 0]
    true_logits = np.where(test.labels == 1, logits, -logits)
    losses = np.logaddexp(0, -true_logits)
    assert losses.max() > 100
    measured = run.evaluate(test)
    assert measured["loss"] == pytest.approx(losses.mean(), rel=1e-4)
    assert measured["accuracy"] == pytest.approx((true_logits > 0).mean(), abs=1e-6)


def test_the_attention_of_a_text_follows_the_specification(run):
    words, weights = run.attention("Not GOOD,<br />but splendiferous!")
    assert words == ["not", "good", "but", "[UNK]"]
    _, vectorizer, classifier, _ = run.model.layers
    vocabulary = vectorizer.get_vocabulary()
    table, w_q, b_q, w_k, b_k, *_ = (
        w.astype("float64") for w in classifier.get_weights()
    )
    x = table[[vocabulary.index(word) for word in words]]
    heads = run.config.num_heads
    q, k = (
        (x @ w + b).reshape(1, len(words), heads, -1).swapaxes(1, 2)
        for w, b in ((w_q, b_q), (w_k, b_k))
    )
    _, expected = reference.attend(q, k, k, "differentialSum")
    assert worst(weights, expected[0]) < 1e-5


def test_the_baseline_has_no_attention(tmp_path):
    run = train(output=tmp_path, verbose=0, attention_type="none", epochs=1)
    with pytest.raises(ValueError, match="'none', has no attention"):
        run.attention("good")


def test_loading_names_what_is_missing_or_damaged(run, tmp_path):
    with pytest.raises(RunError, match="there is no folder"):
        load_run(tmp_path / "nowhere")
    with pytest.raises(RunError, match=r"is not a run: it has no run\.json"):
        load_run(tmp_path)
    (tmp_path / "run.json").write_text("{")
    with pytest.raises(RunError, match=r"run\.json is damaged"):
        load_run(tmp_path)
    (tmp_path / "run.json").write_text((run.path / "run.json").read_text())
    with pytest.raises(RunError, match=r"has no model\.keras"):
        load_run(tmp_path)
    (tmp_path / "model.keras").write_text("")
    for wrong in ("[]", '{"config": {}}', '{"config": {"embed_dim": 0}}'):
        (tmp_path / "run.json").write_text(wrong)
        with pytest.raises(RunError, match=r"run\.json does not describe a run"):
            load_run(tmp_path)


def test_loading_reports_a_damaged_model(run, tmp_path):
    damaged = tmp_path / "run"
    shutil.copytree(run.path, damaged)
    whole = (run.path / "model.keras").read_bytes()
    flipped = whole.replace(b'"registered_name"', b'"registered_nome"')
    for content in (b"", whole[:1000], whole[:-1000], flipped):
        (damaged / "model.keras").write_bytes(content)
        with pytest.raises(RunError, match=r"model\.keras cannot be loaded: \w+: "):
            load_run(damaged)


def test_loading_refuses_another_standardization(run, tmp_path):
    """A run of the sample loads all the same: its tokens are equal in both versions."""
    path = tmp_path / "run"
    shutil.copytree(run.path, path)
    document = run.document()
    del document["provenance"]["standardization"]
    (path / "run.json").write_text(json.dumps(document))
    assert load_run(path).predict("a good film") == run.predict("a good film")
    document["config"]["data"] = "imdb"
    (path / "run.json").write_text(json.dumps(document))
    with pytest.raises(RunError, match="with standardization 1; the current one, 2"):
        load_run(path)


PREDICT = """
import json, sys
import keras, diffattn
path, texts = sys.argv[1:]
with open(texts) as file:
    texts = json.load(file)
model = keras.models.load_model(path + "/model.keras")
print(*model.predict(keras.ops.convert_to_tensor(texts), verbose=0)[:, 0].tolist())
print(*diffattn.load_run(path).predict(texts).tolist())
"""


@pytest.mark.parametrize("source", ["generated", "imdb"])
def test_a_new_process_predicts_the_same_from_a_run_of_imdb(
    source, small_imdb, tmp_path, monkeypatch
):
    """To the bit, loaded by Keras or by `load_run`, in an ASCII locale too."""
    texts = [f"A good{sign}film, {sign} not{sign}dull." for sign in SIGNS[:9]] + ["é"]
    settings = {"data": small_imdb, "vocabulary_size": 100}
    if source == "imdb":
        real = os.environ.get(imdb.IMDB_VARIABLE)
        if real is None:
            pytest.skip("DIFFATTN_IMDB names no copy of the real reviews")
        monkeypatch.undo()  # the real release again
        settings = {"data": real}
        *texts, _ = texts
        texts.append(load_data(Config(data=real)).test.texts[0])
    config = Config(attention_type="none", epochs=1, **settings)
    tokenized = tokenize(config)
    folder = tmp_path / "run.unfinished"
    folder.mkdir()
    model, result = fit_and_evaluate(config, tokenized, folder, verbose=0)
    run = _save(folder, config, result, tokenized, model)
    # What was trained, before it was saved.
    text = keras.Input((), dtype="string")
    answers = keras.layers.Activation("sigmoid")(model(tokenized.vectorizer(text)))
    trained = keras.Model(text, answers)
    expected = trained.predict(tf.constant(texts), verbose=0)[:, 0]
    assert len({*expected}) > 1
    (tmp_path / "texts.json").write_text(json.dumps(texts))
    for environment in ({}, ASCII):
        words = answer(PREDICT, run.path, tmp_path / "texts.json", **environment)
        assert [*map(float, words)] == 2 * expected.tolist()


@pytest.mark.parametrize(
    "attention_type",
    weekly_but(
        [
            "differentialSum(coefficient=1.0, lag=(1, 2))",
            "differential(learned=True)",
            "relative_bias",
        ],
        "differential(learned=True)",
    ),
)
def test_every_relative_of_the_scores_is_trained_and_loaded(attention_type, tmp_path):
    made = train(
        output=tmp_path,
        verbose=0,
        attention_type=attention_type,
        epochs=1,
        batch_size=64,
    )
    loaded = load_run(made.path)
    assert loaded.config == made.config
    text = "not good but really fun"
    assert worst(loaded.predict([text]), made.predict([text])) == 0
    words, weights = loaded.attention(text)
    assert weights.shape[1] == len(words) == 5
    assert loaded.parameters == made.parameters
