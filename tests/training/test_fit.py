import dataclasses
import itertools
import json
import math
import os
import re
import shutil
import subprocess
import sys
from dataclasses import asdict
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import keras
import numpy as np
import pytest
import reference
import tensorflow as tf
from tools import ASCII, answer, worst

from diffattn import Config, load_run, load_sample, provenance, train
from diffattn.data import DATASETS, imdb, sample
from diffattn.data.ceiling import order_blind_ceiling
from diffattn.data.datasets import load_data
from diffattn.data.standardization import custom_standardization
from diffattn.errors import RunError, UserError
from diffattn.names import MODEL_TYPES
from diffattn.training import fit
from diffattn.training.run import _save, _start
from diffattn.training.tokens import tokenize

pytestmark = pytest.mark.slow

SMALL = {"attention_type": "differentialSum", "epochs": 6, "batch_size": 64}


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """One trained run that several tests look at."""
    return train(output=tmp_path_factory.mktemp("runs"), verbose=0, **SMALL)


class Interruption(keras.callbacks.Callback):
    def __init__(self, epoch):
        super().__init__()
        self.last = epoch

    def on_epoch_begin(self, epoch, logs=None):
        if epoch == self.last:
            raise KeyboardInterrupt


def interrupt_before(epoch, monkeypatch):
    """Let the next training break off before that epoch, as Ctrl-C would."""
    real = keras.Model.fit

    def fit(self, *arguments, callbacks, **more):
        callbacks = [*callbacks, Interruption(epoch)]
        return real(self, *arguments, callbacks=callbacks, **more)

    monkeypatch.setattr(keras.Model, "fit", fit)


def test_the_folder_holds_all_of_a_run(run):
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d-\d\d-\d\d", run.path.name)
    files = {file.name for file in run.path.iterdir()}
    assert files == {"model.keras", "run.json", "learning_curves.png"}
    document = json.loads((run.path / "run.json").read_text())
    assert set(document) == {"config", "history", "metrics", "provenance"}
    assert document["config"]["seed"] == 0
    provenance = document["provenance"]
    assert provenance["versions"]["keras"] == keras.__version__
    assert provenance["data"] == load_sample().describe()
    assert provenance["standardization"] == 2
    assert provenance["command"][:2] == ["diffattn", "train"]
    picture = (run.path / "learning_curves.png").read_bytes()
    assert picture.startswith(b"\x89PNG")


def test_the_metrics_are_those_of_the_kept_epoch(run):
    losses = run.history["val_loss"]
    assert run.metrics["epochs"] == len(losses)
    kept = run.metrics["kept_epoch"] - 1
    assert run.metrics["validation_loss"] == pytest.approx(losses[kept], rel=1e-4)
    assert losses[kept] <= min(losses) + run.config.min_delta


def test_a_loaded_run_answers_raw_text_as_it_was_measured(run):
    again = load_run(run.path)
    assert again.config == run.config
    assert again.history == run.history
    assert again.metrics == run.metrics
    test = load_sample().test
    measured = again.evaluate(test)
    assert measured["accuracy"] == pytest.approx(run.metrics["test_accuracy"], abs=1e-6)
    assert measured["loss"] == pytest.approx(run.metrics["test_loss"], abs=1e-5)
    # Independently: the mean of -log p of the true label.
    probability = again.predict(test.texts).astype("float64")
    of_the_label = np.where(test.labels == 1, probability, 1 - probability)
    by_hand = -np.log(np.maximum(of_the_label, 1e-7)).mean()
    assert measured["loss"] == pytest.approx(by_hand, abs=1e-5)
    assert again.predict("GOOD, but <br />not fun!") == again.predict(
        ["good but not fun"]
    )
    assert again.predict([]).shape == (0,)
    assert np.isfinite(again.predict([""])).all()


def test_a_run_is_evaluated_by_its_logits_however_large_they_are(tmp_path):
    """With weights a thousand times as large, errors cost far more than 16."""
    run = train(output=tmp_path, verbose=0, attention_type="none", epochs=1)
    _, vectorizer, classifier, _ = run.model.layers
    table, weight, bias = classifier.get_weights()
    weight, bias = weight * 10_000, bias * 10_000
    classifier.set_weights([table, weight, bias])
    test = load_sample().test
    tokens = vectorizer(test.texts).numpy()
    seen = tokens[..., None] > 0
    mean = (table.astype("float64")[tokens] * seen).sum(1) / seen.sum(1)
    logits = (mean @ weight.astype("float64") + bias)[:, 0]
    right = np.where(test.labels == 1, logits, -logits)
    losses = np.logaddexp(0, -right)
    assert losses.max() > 100
    measured = run.evaluate(test)
    assert measured["loss"] == pytest.approx(losses.mean(), rel=1e-4)
    assert measured["accuracy"] == pytest.approx((right > 0).mean(), abs=1e-6)


def test_the_attention_of_a_text_is_the_specifications(run):
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


def test_the_same_seed_gives_the_same_metrics(run, tmp_path):
    again = train(output=tmp_path, verbose=0, **SMALL)
    assert again.metrics == run.metrics
    assert again.history == run.history
    other = train(output=tmp_path, verbose=0, **{**SMALL, "epochs": 1}, seed=1)
    assert other.history["loss"][0] != run.history["loss"][0]


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"data": "imdb", "mask_padding": 1, "early_stopping": np.False_},
        {"scale": np.float32(0.5), "seed": np.int64(3), "learning_rate": 1},
        {"scale": -1e-05},
        {"data": "-imdb", "scale": -2},
        {"data": Path("a folder")},
    ],
)
def test_the_command_and_the_json_of_settings_give_the_same_settings(settings):
    from diffattn.cli import _parser

    config = Config(**settings)
    options = vars(_parser().parse_args(config.command()[1:]))
    names = asdict(config)
    again = Config(**{k: v for k, v in options.items() if k in names})
    assert again == config
    kept = json.loads(json.dumps(names))
    assert Config(**kept) == config
    assert all(type(kept[name]) is type(value) for name, value in names.items())


def test_the_recorded_command_is_the_one_of_the_settings(run):
    assert run.provenance["command"] == run.config.command()


@pytest.mark.parametrize("epoch", [0, 3])
def test_an_interrupted_run_goes_on_to_the_same_result(
    epoch, run, tmp_path, monkeypatch
):
    with monkeypatch.context() as patch:
        interrupt_before(epoch, patch)
        with pytest.raises(KeyboardInterrupt):
            train(output=tmp_path, verbose=0, **SMALL)
    (unfinished,) = tmp_path.iterdir()
    assert unfinished.name.endswith(".unfinished")
    with pytest.raises(RunError, match="is an unfinished run: go on with it by"):
        load_run(unfinished)
    resumed = train(resume=unfinished, verbose=0)
    assert resumed.history == run.history
    assert resumed.metrics == run.metrics
    assert [p.name for p in tmp_path.iterdir()] == [resumed.path.name]


def test_an_interruption_after_the_last_epoch_loses_nothing(
    run, tmp_path, monkeypatch, capsys
):
    def break_off(*ignored):
        raise KeyboardInterrupt

    for settings in (SMALL, {**SMALL, "early_stopping": False, "epochs": 2}):
        with monkeypatch.context() as patch:
            patch.setattr(fit, "_measure", break_off)
            with pytest.raises(KeyboardInterrupt):
                train(output=tmp_path, verbose=0, **settings)
        (unfinished,) = tmp_path.glob("*.unfinished")
        resumed = train(resume=unfinished, verbose=0)
        whole = (
            run if settings is SMALL else train(output=tmp_path, verbose=0, **settings)
        )
        assert resumed.metrics == whole.metrics


def test_an_interruption_in_the_last_step_leaves_a_whole_run(tmp_path, monkeypatch):
    def break_off(path, **how):
        path = Path(path)
        of_a_run = path.name.startswith("checkpoint")  # Keras has folders of its own
        if of_a_run and not path.parent.name.endswith(".unfinished"):
            raise KeyboardInterrupt
        rmtree(path, **how)

    rmtree = shutil.rmtree
    with monkeypatch.context() as patch:
        patch.setattr(shutil, "rmtree", break_off)
        with pytest.raises(KeyboardInterrupt):
            train(output=tmp_path, verbose=0, **{**SMALL, "epochs": 1})
    (path,) = tmp_path.iterdir()
    assert load_run(path).metrics["epochs"] == 1


def test_early_stopping_stops_and_keeps_the_best(tmp_path):
    """At a learning rate that is far too high, the loss soon stops falling."""
    run = train(output=tmp_path, verbose=0, learning_rate=3.0, epochs=30, patience=2)
    losses = run.history["val_loss"]
    assert len(losses) < 30
    assert len(losses) - run.metrics["kept_epoch"] == 2
    kept = losses[run.metrics["kept_epoch"] - 1]
    assert run.metrics["validation_loss"] == pytest.approx(kept, rel=1e-4)
    assert kept == min(losses)


def test_without_early_stopping_the_last_epoch_is_kept(tmp_path):
    run = train(
        output=tmp_path,
        verbose=0,
        learning_rate=3.0,
        epochs=4,
        patience=1,
        early_stopping=False,
    )
    losses = run.history["val_loss"]
    assert run.metrics["epochs"] == run.metrics["kept_epoch"] == 4
    assert run.metrics["validation_loss"] == pytest.approx(losses[-1], rel=1e-4)


def test_tensorboard_logs_if_asked_for(tmp_path):
    run = train(
        output=tmp_path, verbose=0, attention_type="none", epochs=1, tensorboard=True
    )
    assert list((run.path / "tensorboard").rglob("events.out.tfevents*"))


def test_runs_in_one_second_have_a_folder_each(tmp_path, monkeypatch):
    """Even where none sees in time what the others make."""
    monkeypatch.setattr(Path, "exists", lambda path: False)
    folders = {_start(tmp_path, Config()) for _ in range(3)}
    assert folders == {*tmp_path.iterdir()}
    assert len(folders) == 3


def test_every_review_once_an_epoch_in_an_order_of_its_own():
    config = Config(epochs=3, batch_size=4)
    tokens = np.arange(10)[:, None]
    batches = [
        b[0].numpy()[:, 0]
        for b in fit.training_batches(config, tokens, np.zeros(10), 0)
    ]
    assert [len(b) for b in batches] == [4, 4, 2] * 3
    epochs = [np.concatenate(batches[i : i + 3]).tolist() for i in (0, 3, 6)]
    assert all(sorted(epoch) == list(range(10)) for epoch in epochs)
    assert epochs[0] != epochs[1] != epochs[2]
    later = fit.training_batches(config, tokens, np.zeros(10), 2)
    assert np.concatenate([b[0].numpy()[:, 0] for b in later]).tolist() == epochs[2]


@pytest.mark.parametrize("attention_type", MODEL_TYPES)
def test_on_the_sample_only_the_differential_types_pass_the_ceiling(
    attention_type, tmp_path
):
    run = train(output=tmp_path, verbose=0, attention_type=attention_type)
    test = load_sample().test
    words = [custom_standardization(t).numpy().split() for t in test.texts]
    ceiling = order_blind_ceiling(words, test.labels)
    assert ceiling == 0.8
    if attention_type in ("differentialSum", "differential"):
        assert run.metrics["test_accuracy"] > 0.95
    else:
        # The ceiling is exact for these very texts: no sampling error on top,
        # but sums in another order can round a tie either way.
        assert run.metrics["test_accuracy"] <= ceiling + 2 / len(test)


def test_a_folder_that_is_no_run_is_told(run, tmp_path):
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
        with pytest.raises(RunError, match=r"run\.json is not a run's"):
            load_run(tmp_path)


def test_only_an_unfinished_run_is_resumed(run, tmp_path):
    with pytest.raises(RunError, match="is not an unfinished run"):
        train(resume=run.path)
    with pytest.raises(RunError, match="there is no folder"):
        train(resume=tmp_path / "x.unfinished")
    with pytest.raises(ValueError, match=r"resume takes no settings\. Received: seed"):
        train(resume=run.path, seed=3)


def test_a_damaged_model_is_told_on_loading(run, tmp_path):
    damaged = tmp_path / "run"
    shutil.copytree(run.path, damaged)
    whole = (run.path / "model.keras").read_bytes()
    flipped = whole.replace(b'"registered_name"', b'"registered_nome"')
    for content in (b"", whole[:1000], whole[:-1000], flipped):
        (damaged / "model.keras").write_bytes(content)
        with pytest.raises(RunError, match=r"model\.keras cannot be loaded: \w+: "):
            load_run(damaged)


def test_what_a_run_was_made_with_is_found_out_before_the_training(
    tmp_path, monkeypatch
):
    def provenance():
        raise LookupError("no versions")

    monkeypatch.setattr(fit, "provenance", provenance)
    with pytest.raises(LookupError):
        train(output=tmp_path, verbose=0, epochs=1)
    (unfinished,) = tmp_path.iterdir()
    assert [path.name for path in unfinished.iterdir()] == ["run.json"]


def test_a_package_that_is_not_installed_has_a_version_all_the_same(monkeypatch):
    """As imported from a checkout, or installed under another name."""
    installed = provenance.provenance()["versions"]
    assert set(installed) == {"python", "diffattn", "tensorflow", "keras", "numpy"}
    monkeypatch.setattr(sys, "path", [])  # where importlib looks for what is installed
    with pytest.raises(PackageNotFoundError):
        version("keras")
    assert provenance.provenance()["versions"] == installed


def test_a_checkout_without_a_commit_has_none(tmp_path, monkeypatch):
    copy = tmp_path / "diffattn" / "provenance.py"
    copy.parent.mkdir()
    copy.write_text("")
    for arguments in (["init", "--quiet"], ["add", "--all"]):
        subprocess.run(["git", "-C", tmp_path, *arguments], check=True)
    monkeypatch.setattr(provenance, "__file__", str(copy))
    assert provenance.provenance()["commit"] is None


def test_other_reviews_than_at_the_start_are_refused(tmp_path, monkeypatch):
    with monkeypatch.context() as patch:
        interrupt_before(1, patch)
        with pytest.raises(KeyboardInterrupt):
            train(output=tmp_path, verbose=0, attention_type="none")
    (unfinished,) = tmp_path.iterdir()
    monkeypatch.setattr(
        sample, "load_sample", lambda **how: load_sample(order_share=0.2, **how)
    )
    with pytest.raises(RunError, match="was begun with other reviews"):
        train(resume=unfinished, verbose=0)


def test_an_unfinished_run_of_another_standardization_is_refused(
    tmp_path, monkeypatch, small_imdb
):
    """One of the generated reviews goes on: their tokens are the same."""
    for source in (small_imdb, "sample"):
        settings = {"data": source, "attention_type": "none", "embed_dim": 8}
        with monkeypatch.context() as patch:
            interrupt_before(1, patch)
            with pytest.raises(KeyboardInterrupt):
                train(output=tmp_path, verbose=0, **settings)
        (unfinished,) = tmp_path.glob("*.unfinished")
        state = unfinished / "checkpoint-000001" / "state.json"
        kept = json.loads(state.read_text())
        assert kept.pop("standardization") == 2
        state.write_text(json.dumps(kept))  # as version 1 has written it
        if source == "sample":
            assert train(resume=unfinished, verbose=0).metrics["epochs"] > 1
        else:
            with pytest.raises(RunError, match="begun with standardization 1, not tod"):
                train(resume=unfinished, verbose=0)
            shutil.rmtree(unfinished)


def test_a_run_of_another_standardization_is_refused(run, tmp_path):
    """One of the generated reviews is not: their tokens are the same."""
    path = tmp_path / "run"
    shutil.copytree(run.path, path)
    document = run.document()
    del document["provenance"]["standardization"]
    (path / "run.json").write_text(json.dumps(document))
    assert load_run(path).predict("a good film") == run.predict("a good film")
    document["config"]["data"] = "imdb"
    (path / "run.json").write_text(json.dumps(document))
    with pytest.raises(RunError, match="trained with standardization 1; today's is 2"):
        load_run(path)


#: Every sign that a vocabulary file or a standardization has gone wrong with.
SIGNS = "\0 \x1c \x1d \x1e \x85 \x96 \xa0 \xad \u2003 \u2028 \u2029 \u200b \ufeff"
SIGNS = [*SIGNS.split(" "), "&quot;", "&#39;", "&nbsp;", "&amp;", "&eacute;", "é", "😀"]


@pytest.fixture
def small_imdb(tmp_path_factory, monkeypatch):
    """A folder like aclImdb, with `SIGNS` in, between and around its reviews' words."""
    words = {"pos": ["good", "fun", "warm"], "neg": ["bad", "dull", "cold"]}
    folders = {
        f"{part}/{kind}": {
            f"{i}_1.txt": f"{sign}{a}{sign}{b} {sign} film{sign}".encode()
            for i, (sign, a, b) in enumerate(itertools.product(SIGNS, of, of))
        }
        for part in ("train", "test")
        for kind, of in words.items()
    }
    root = tmp_path_factory.mktemp("aclImdb")
    for folder, files in folders.items():
        (root / folder).mkdir(parents=True)
        for name, content in files.items():
            (root / folder / name).write_bytes(content)
    release = dataclasses.replace(
        imdb.IMDB,
        reviews_per_folder=9 * len(SIGNS),
        fingerprint=imdb.fingerprint(folders),
    )
    monkeypatch.setattr(imdb, "IMDB", release)
    return str(root)


@pytest.mark.parametrize("source", ["generated", "imdb"])
def test_a_run_of_imdb_answers_the_same_in_a_new_process(
    source, small_imdb, tmp_path, monkeypatch
):
    """To the bit, with Keras's own loading, and where text is ASCII as well."""
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
    model, result = fit.fit_and_evaluate(config, tokenized, folder, verbose=0)
    run = _save(folder, config, result, tokenized, model)
    # What was trained, before it was saved.
    text = keras.Input((), dtype="string")
    answers = keras.layers.Activation("sigmoid")(model(tokenized.vectorizer(text)))
    trained = keras.Model(text, answers)
    expected = trained.predict(tf.constant(texts), verbose=0)[:, 0]
    assert len({*expected}) > 1
    (tmp_path / "texts.json").write_text(json.dumps(texts))
    for environment in ({}, ASCII):
        found = answer(PREDICT, run.path, tmp_path / "texts.json", **environment)
        assert [*map(float, found)] == 2 * expected.tolist()


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


TRAIN = """
import json, sys, keras
exec(sys.argv[1])
settings = keras.config.floatx(), keras.config.dtype_policy().name
settings += keras.config.epsilon(), keras.config.max_epochs()
from diffattn import train
run = train(output=sys.argv[2], verbose=0, **json.loads(sys.argv[3]))
after = keras.config.floatx(), keras.config.dtype_policy().name
assert settings == (*after, keras.config.epsilon(), keras.config.max_epochs())
with open(sys.argv[4]) as file:
    texts = json.load(file)
print(*settings, *run.predict(texts).tolist())
"""


@pytest.mark.parametrize(
    ("statement", "file", "environment", "expected"),
    [
        ("keras.config.set_floatx('float64')", {}, {}, ["float64", "float64"]),
        (
            "keras.config.set_dtype_policy('mixed_bfloat16')",
            {},
            {},
            ["float32", "mixed_bfloat16"],
        ),
        (
            "",
            {
                "floatx": "float16",
                "epsilon": 0.1,
                "image_data_format": "channels_first",
            },
            {"KERAS_MAX_EPOCHS": "1", "KERAS_MAX_STEPS_PER_EPOCH": "2"},
            ["float16", "float16", "0.1", "1"],
        ),
    ],
)
def test_a_run_is_the_same_whatever_kerass_settings_are(
    statement, file, environment, expected, run, tmp_path
):
    (tmp_path / "keras.json").write_text(json.dumps({"backend": "tensorflow", **file}))
    texts = [str(text) for text in load_sample().test.texts[:100]]
    (tmp_path / "texts.json").write_text(json.dumps(texts))
    environment = {"KERAS_HOME": str(tmp_path), **environment}
    arguments = statement, tmp_path / "runs", json.dumps(SMALL), tmp_path / "texts.json"
    found = answer(TRAIN, *arguments, **environment)
    assert found[: len(expected)] == expected
    assert [*map(float, found[4:])] == run.predict(texts).tolist()
    (path,) = (tmp_path / "runs").iterdir()
    other = load_run(path)
    assert other.history == run.history
    assert other.metrics == run.metrics


def test_an_output_that_cannot_be_written_is_told(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match=r"cannot make the folder .*file is no folder"):
        train(output=tmp_path / "file" / "runs", data="not read")


def test_settings_fit_the_data():
    for name, dataset in DATASETS.items():
        assert dataset.settings.items() <= asdict(Config(data=name)).items()
    assert Config(embed_dim=8).embed_dim == 8
    documented = asdict(Config(data="imdb"))
    assert {k: v for k, v in documented.items() if k in DOCUMENTED} == DOCUMENTED


#: The published script's settings, as the reference reports them.
DOCUMENTED = {
    "batch_size": 32,
    "split_seed": 42,
    "vocabulary_size": 10_000,
    "sequence_length": 250,
    "embedding_dim": 16,
    "embed_dim": 512,
    "num_heads": 8,
    "dropout": 0.2,
    "epochs": 10,
    "min_delta": 0.001,
    "patience": 5,
    "attention_type": "scaled_dot_product",
    "mask_padding": False,
}


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"attention_type": "dot"}, "attention_type must be one of"),
        ({"embed_dim": 10, "num_heads": 4}, "must be divisible by num_heads"),
        ({"epochs": 0}, "epochs must be a positive integer.*epochs=0"),
        ({"dropout": -0.1}, "dropout must be a finite number.*dropout=-0.1"),
        ({"learning_rate": math.nan}, "learning_rate must be a finite number"),
        ({"seed": -1}, "seed must be an integer of at least 0.*seed=-1"),
        ({"mask_padding": "yes"}, "mask_padding must be one of True, False"),
        ({"scale": "big"}, "scale must be a finite number"),
        ({"vocabulary_size": 2}, "vocabulary_size must be .* at least 3.*size=2"),
        ({"data": "order", "sequence_length": 1}, "sequence_length must be .* least 2"),
        ({"validation_split": 1.0}, "validation_split must be a finite number"),
    ],
)
def test_bad_settings_are_named(settings, message):
    with pytest.raises(ValueError, match=message):
        Config(**settings)


def test_an_unknown_setting_is_named():
    with pytest.raises(TypeError, match="unexpected keyword argument 'heads'"):
        Config(heads=3)


def test_load_data_follows_the_configuration():
    data = load_data(Config(validation_split=0.5, split_seed=3))
    assert data.fingerprint == load_sample(seed=3).fingerprint
    assert len(data.validation) == 2500
