"""From a configuration to a trained, saved run, and back from the folder."""

import inspect
import itertools
import json
import math
import os
import shlex
import shutil
import time
import warnings
import zipfile
from collections.abc import Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import datetime
from functools import cached_property
from importlib.util import find_spec
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf

from diffattn.checks import UserError
from diffattn.config import Config
from diffattn.data import ReviewData, Reviews, load_imdb
from diffattn.files import check_folder, expand, write_json
from diffattn.model import build_classifier
from diffattn.plots import plot_history, save_figure
from diffattn.provenance import provenance
from diffattn.sample import load_order, load_sample
from diffattn.standardization import make_vectorizer, vectorize

#: A run's folder has this at the end of its name until the run is finished.
UNFINISHED = ".unfinished"


class RunError(UserError):
    """A folder is not the run that it should be."""


class DivergenceError(UserError):
    """A training's loss is no longer a finite number."""


@dataclass(frozen=True)
class Run:
    """A trained classifier and all that is known about it.

    Attributes:
        path: the run's folder.
        config: the `Config` that it was trained with.
        history: dict from metric to a list with one number an epoch.
        metrics: dict of ``validation_loss``, ``validation_accuracy``,
            ``test_loss``, ``test_accuracy``, ``epochs`` (trained) and
            ``kept_epoch`` (whose weights these are, counted from 1).
        provenance: dict of ``command``, ``seconds`` and ``cpu_seconds`` (of training
            and evaluation, since the last start), the ``data`` (name, fingerprint,
            numbers of reviews), and what `diffattn.provenance.provenance` gives.
    """

    path: Path
    config: Config
    history: dict
    metrics: dict
    provenance: dict

    @cached_property
    def model(self):
        """The `keras.Model` from raw strings (N,) to probabilities (N, 1).

        Raises:
            RunError: if its file is missing or damaged.
        """
        path = self.path / "model.keras"
        try:
            return keras.models.load_model(path)
        except Exception as error:  # Keras lets through whatever damage leads to
            first = next(iter(str(error).splitlines()), "")
            raise RunError(
                f"{path} cannot be loaded: {type(error).__name__}: {first}"
            ) from error

    def document(self) -> dict:
        """All but path and model, as a dict of JSON values."""
        parts = ("history", "metrics", "provenance")
        return {
            "config": asdict(self.config),
            **{part: getattr(self, part) for part in parts},
        }

    def predict(self, texts: str | Sequence[str]) -> np.ndarray:
        """How probably each text is positive.

        Args:
            texts: a str or a sequence of N str, raw.

        Returns:
            A NumPy array of shape (N,), float32.
        """
        texts = [texts] if isinstance(texts, str) else list(texts)
        if not texts:
            return np.zeros(0, "float32")
        strings = tf.data.Dataset.from_tensor_slices(texts)
        batches = strings.batch(self.config.batch_size)
        return self.model.predict(batches, verbose=0)[:, 0]

    def attention(self, text: str) -> tuple[list[str], np.ndarray]:
        """How the words of a text attend to each other.

        Args:
            text: a str, raw.

        Returns:
            (words, weights): the T words that the model reads, "[UNK]" for one that
            it does not know; and a NumPy array of shape (H, T, T), for
            ``differential`` (H, T, T, d), in which row i is what word i attends to.
            Padding, where it is attended to, is left out.

        Raises:
            ValueError: if the run is of the baseline, which has no attention.
        """
        if self.config.attention_type == "none":
            raise ValueError("the baseline, attention_type='none', has no attention")
        vectorizer, classifier = self.model.layers[1:3]
        tokens = vectorizer(tf.constant([text]))
        x = classifier.get_layer("embedding")(tokens)
        if self.config.positional_encoding:
            x = classifier.get_layer("positions")(x)
        layer = classifier.get_layer("attention")
        _, weights = layer(x, return_attention_scores=True)
        vocabulary = vectorizer.get_vocabulary()
        words = [str(vocabulary[token]) for token in tokens[0].numpy() if token]
        count = len(words)
        return words, weights.numpy()[0, :, :count, :count]

    def evaluate(self, reviews: Reviews) -> dict[str, float]:
        """Loss and accuracy on labelled texts.

        Args:
            reviews: a `diffattn.data.Reviews`.

        Returns:
            A dict of ``loss`` (mean binary cross-entropy) and ``accuracy``.
        """
        # By the logits, as in training: a probability that rounds to 0 or 1 has lost
        # how sure the model was.
        vectorizer, classifier = self.model.layers[1:3]
        tokens = vectorize(vectorizer, reviews.texts)
        return _loss_and_accuracy(
            compile_classifier(classifier), tokens, reviews.labels, self.config
        )


@dataclass(frozen=True)
class Tokenized:
    """A data set as the classifier takes it.

    Attributes:
        vectorizer: the layer from strings to tokens.
        train, validation, test: pairs (tokens of shape (N, L), labels (N,)).
        description: dict of the data's name, fingerprint and numbers of reviews.
    """

    vectorizer: keras.layers.TextVectorization
    train: tuple
    validation: tuple
    test: tuple
    description: dict


def train(
    *,
    output: str | os.PathLike = "runs",
    resume: str | os.PathLike | None = None,
    tensorboard: bool = False,
    verbose: int | str = "auto",
    **settings,
) -> Run:
    """Train a classifier and save it as a run.

    The run is a folder named by its time. It appears whole or not at all:
    until it is finished, its name ends in ``.unfinished``, and `resume` goes
    on from the last epoch that it holds, to the same result.

    Args:
        output: folder in which the run's folder is made.
        resume: path of an unfinished run to go on with; its own settings hold.
        tensorboard: bool, whether to write logs for TensorBoard into the run.
        verbose: 0 for silence, 1 for a progress bar, 2 for a line an epoch,
            "auto" to let Keras choose.
        **settings: those of `Config`; where not given, those that fit the data.

    Returns:
        The `Run`.

    Raises:
        ValueError: on a setting out of its bounds.
        UserError: if Keras runs on another backend than TensorFlow, if `output`
            cannot be written, or if TensorBoard is asked for and not installed.
        diffattn.data.DataError: if the data are missing or damaged.
        RunError: if `resume` is not an unfinished run, is damaged, or was begun with
            other reviews.
        DivergenceError: if the loss is no longer finite.

    Example:
        >>> run = train(attention_type="differential")
        >>> run.predict("Not good, but fun.")
    """
    if resume is None:
        config = Config.make(**settings)
        check_folder(output)
    elif settings:
        raise ValueError(f"resume takes no settings. Received: {', '.join(settings)}")
    else:
        folder, config = _reopen(resume)
    if tensorboard and find_spec("tensorboard") is None:
        raise UserError("tensorboard is not installed: pip install tensorboard")
    data = tokenize(config, progress=verbose != 0)
    if resume is None:
        folder = _start(output, config)
    callbacks = (
        [keras.callbacks.TensorBoard(folder / "tensorboard")] if tensorboard else []
    )
    try:
        model, result = fit_and_evaluate(
            config, data, folder, callbacks=callbacks, verbose=verbose
        )
        return _save(folder, config, result, data.vectorizer, model)
    except KeyboardInterrupt:
        if verbose != 0:
            again = f"diffattn train --resume {shlex.quote(str(folder))}"
            print(f"\ninterrupted; to go on: {again}")
        raise


def load_run(path: str | os.PathLike) -> Run:
    """A run that `train` has saved.

    Args:
        path: the run's folder.

    Returns:
        The `Run`.

    Raises:
        RunError: if the folder is missing, unfinished, damaged or no run.
        UserError: if Keras runs on another backend than TensorFlow.
    """
    _check_backend()
    path = expand(path)
    if not path.is_dir():
        raise RunError(f"there is no folder {path}")
    if path.name.endswith(UNFINISHED):
        raise RunError(f"{path} is an unfinished run: go on with it by --resume {path}")
    document = read_json(path / "run.json")
    if not (path / "model.keras").is_file():
        raise RunError(f"{path} is not a whole run: it has no model.keras")
    try:
        run = Run(path, Config(**document.pop("config")), **document)
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise RunError(f"{path / 'run.json'} is not a run's: {error}") from error
    _ = run.model  # read now: damage is told before any other work
    return run


def _check_backend():
    """Only TensorFlow has tensors of text, which a run's model takes."""
    backend = keras.config.backend()
    if backend != "tensorflow":
        raise UserError(
            "training and loading runs need Keras's TensorFlow backend, because their "
            f"models read text. Received: KERAS_BACKEND={backend}. The layer itself "
            "runs on it."
        )


def load_data(config: Config, progress: bool = False) -> ReviewData:
    """The reviews that a configuration names, split as it says.

    Args:
        config: a `Config`.
        progress: bool, whether to show how far it is.

    Returns:
        A `diffattn.data.ReviewData`.

    Raises:
        diffattn.data.DataError: if they are missing or damaged.
    """
    how = {"validation_split": config.validation_split, "seed": config.split_seed}
    if config.data == "sample":
        return load_sample(**how)
    if config.data == "order":
        return load_order(
            length=config.sequence_length, distance=config.distance, **how
        )
    source = None if config.data == "imdb" else config.data
    return load_imdb(source, **how, progress=progress)


def tokenize(config: Config, progress: bool = False) -> Tokenized:
    """Reviews to tokens, once for all epochs; the vocabulary is the training set's.

    Args:
        config: a `Config`.
        progress: bool, whether to show how far it is.

    Returns:
        A `Tokenized`.

    Raises:
        UserError: if Keras runs on another backend than TensorFlow.
        diffattn.data.DataError: if the data are missing or damaged.
    """
    _check_backend()
    reviews = load_data(config, progress)
    vectorizer = make_vectorizer(
        reviews.train.texts, config.vocabulary_size, config.sequence_length
    )

    def tokens_and_labels(part):
        return vectorize(vectorizer, part.texts), part.labels

    return Tokenized(
        vectorizer,
        train=tokens_and_labels(reviews.train),
        validation=tokens_and_labels(reviews.validation),
        test=tokens_and_labels(reviews.test),
        description=reviews.describe(),
    )


def fit_and_evaluate(config, data, folder, *, callbacks=(), verbose="auto"):
    """`fit`, and what is to be known of it.

    Args:
        config, data, folder, callbacks, verbose: as for `fit`.

    Returns:
        (model, result): the trained `keras.Model` from tokens to logits, and a dict
        of ``history``, ``metrics`` and ``provenance`` as `Run` has them.

    Raises:
        RunError: if the state in the folder is damaged or comes from other reviews.
        DivergenceError: if the loss is no longer finite.
    """
    # First of all: were it to fail, then before the training.
    origin = {"command": config.command(), **provenance()}
    started, cpu_started = time.monotonic(), time.process_time()
    model, history, kept_epoch = fit(
        config, data, folder, callbacks=callbacks, verbose=verbose
    )
    metrics = {
        **_measure(config, data, model),
        "epochs": len(history["loss"]),
        "kept_epoch": kept_epoch,
    }
    origin |= {
        "seconds": round(time.monotonic() - started, 1),
        "cpu_seconds": round(time.process_time() - cpu_started, 1),
        "data": data.description,
    }
    return model, {"history": history, "metrics": metrics, "provenance": origin}


def fit(config, data, folder, *, callbacks=(), verbose="auto"):
    """Train the classifier that a configuration describes, or go on training it.

    Args:
        config: a `Config`.
        data: a `Tokenized`.
        folder: where the state after each epoch is kept, and taken up again if
            there is one.
        callbacks: a list of more `keras.callbacks.Callback`.
        verbose: as for `train`.

    Returns:
        (model, history, kept_epoch): the trained `keras.Model` from tokens to
        logits, a dict from metric to a list with one number an epoch, and the
        number of the epoch whose weights the model has, counted from 1: the
        best one if `config.early_stopping`, else the last.

    Raises:
        RunError: if the state in the folder is damaged or comes from other reviews.
        DivergenceError: if the loss is no longer finite.
    """
    model = _compiled_classifier(config)
    stopping = keras.callbacks.EarlyStopping(
        monitor="val_loss",
        mode="min",
        min_delta=config.min_delta,
        patience=config.patience if config.early_stopping else config.epochs,
        restore_best_weights=config.early_stopping,
    )
    checkpoint = Checkpoint(folder, stopping, data.description["fingerprint"])
    checkpoint.load(model)
    if not checkpoint.stopped and checkpoint.epoch < config.epochs:
        model.fit(
            training_batches(config, *data.train, checkpoint.epoch),
            steps_per_epoch=math.ceil(len(data.train[0]) / config.batch_size),
            initial_epoch=checkpoint.epoch,
            epochs=config.epochs,
            validation_data=data.validation,
            validation_batch_size=config.batch_size,
            # Early stopping first: the checkpoint writes what it has decided.
            callbacks=[stopping, checkpoint, *callbacks],
            shuffle=False,  # each epoch's batches come in an order of their own
            verbose=verbose,
        )
    elif config.early_stopping:
        model.set_weights(checkpoint.stopping_state["best_weights"])
    best_epoch = checkpoint.stopping_state["best_epoch"] + 1
    kept_epoch = best_epoch if config.early_stopping else checkpoint.epoch
    return model, checkpoint.history, kept_epoch


class Checkpoint(keras.callbacks.Callback):
    """Keeps after every epoch all that going on needs, and takes it up again.

    Keras's BackupAndRestore keeps weights, optimizer and epoch. To end as if
    nothing had happened, a training also needs the state of the dropout's
    random numbers, what early stopping knows (the best weights so far, the
    epochs waited), and the history.

    Args:
        folder: where to keep it.
        stopping: the training's EarlyStopping, before this one in the list.
        fingerprint: of the reviews, which must be the same when going on.
    """

    def __init__(self, folder, stopping, fingerprint):
        super().__init__()
        self.folder = folder
        self.stopping = stopping
        self.fingerprint = fingerprint
        self.epoch = 0
        self.stopped = False
        self.history = {}
        self.stopping_state = {}

    def load(self, model):
        """Bring the model to the state of the last epoch that was kept, if any.

        Raises:
            RunError: if what was kept is damaged or comes from other reviews.
        """
        kept = _last_checkpoint(self.folder)
        if kept is None:
            return
        if kept_fingerprint(self.folder) != self.fingerprint:
            raise RunError(f"{self.folder} was begun with other reviews")
        with _damage_told(kept):
            self._take_up(model, kept)

    def _take_up(self, model, kept):
        state = read_json(kept / "state.json")
        values = _load_arrays(kept / "variables.npz")
        for variable, value in zip(_variables(model), values, strict=True):
            variable.assign(value)
        best_weights = _load_arrays(kept / "best.npz")
        self.epoch = state["epoch"]
        self.stopped = state["stopped"]
        self.history = state["history"]
        self.stopping_state = {**state["stopping"], "best_weights": best_weights}

    def on_train_begin(self, logs=None):
        for name, value in self.stopping_state.items():
            setattr(self.stopping, name, value)

    def on_epoch_end(self, epoch, logs=None):
        self.epoch = epoch + 1
        self.stopped = self.model.stop_training
        for metric, value in logs.items():
            if not math.isfinite(value):
                raise DivergenceError(
                    f"the training diverged: {metric} is {value} after epoch "
                    f"{self.epoch}; a smaller learning_rate may help"
                )
            self.history.setdefault(metric, []).append(float(value))
        self.stopping_state = {
            name: getattr(self.stopping, name)
            for name in ("wait", "best", "best_epoch", "stopped_epoch")
        }
        self._save()

    def _save(self):
        state = {
            "fingerprint": self.fingerprint,
            "epoch": self.epoch,
            "stopped": self.stopped,
            "history": self.history,
            "stopping": self.stopping_state,
        }
        new = self.folder / "checkpoint.new"
        shutil.rmtree(new, ignore_errors=True)
        new.mkdir()
        np.savez(new / "variables.npz", *[v.numpy() for v in _variables(self.model)])
        np.savez(new / "best.npz", *(self.stopping.best_weights or []))
        write_json(new / "state.json", state)
        old = list(self.folder.glob("checkpoint-*[0-9]"))
        new.rename(self.folder / f"checkpoint-{self.epoch:06d}")
        for checkpoint in old:
            shutil.rmtree(checkpoint)


def kept_fingerprint(folder):
    """The fingerprint of the reviews that a training was begun with.

    Args:
        folder: a `pathlib.Path`, where a `Checkpoint` keeps the training's state.

    Returns:
        The 64 hexadecimal digits, None where no epoch has been kept.

    Raises:
        RunError: if what was kept is damaged.
    """
    kept = _last_checkpoint(folder)
    if kept is None:
        return None
    with _damage_told(kept):
        return read_json(kept / "state.json")["fingerprint"]


def _last_checkpoint(folder):
    return max(folder.glob("checkpoint-*[0-9]"), default=None)


@contextmanager
def _damage_told(checkpoint):
    """What a damaged checkpoint leads to, in words; after others it may be whole."""
    try:
        yield
    except (
        EOFError,
        FileNotFoundError,
        KeyError,
        RuntimeError,
        TypeError,
        ValueError,
        zipfile.BadZipFile,
    ) as error:
        raise RunError(
            f"{checkpoint} is damaged: {error}; without it, the run begins anew"
        ) from error


def _variables(model):
    """All that training changes, in a fixed order."""
    model.optimizer.build(model.trainable_variables)
    return [*model.variables, *model.optimizer.variables]


def _load_arrays(path):
    # Opened here: np.load leaves a damaged file open.
    with open(path, "rb") as file, np.load(file) as arrays:
        return [arrays[name] for name in arrays.files]


def _compiled_classifier(config):
    settings = asdict(config)
    names = inspect.signature(build_classifier).parameters
    model = build_classifier(**{name: settings[name] for name in names})
    return compile_classifier(model, config.learning_rate)


def compile_classifier(model: keras.Model, learning_rate: float = 0.001):
    """Compile a classifier as the documented one is trained, and return it.

    Args:
        model: a `keras.Model` from tokens to logits of shape (B, 1).
        learning_rate: Adam's.
    """
    model.compile(
        optimizer=keras.optimizers.Adam(learning_rate),
        loss=keras.losses.BinaryCrossentropy(from_logits=True),
        metrics=[keras.metrics.BinaryAccuracy(name="accuracy", threshold=0.0)],
        # On a CPU, TensorFlow's own kernels are faster than XLA's for this model.
        jit_compile=False if keras.config.backend() == "tensorflow" else "auto",
    )
    return model


def training_batches(config, tokens, labels, first_epoch):
    """All epochs' batches in a row, each epoch in an order of its own.

    The order comes from the seed and the epoch's number alone, so that a
    training that is taken up again sees what it would have seen.

    Args:
        config: a `Config`.
        tokens, labels: arrays of shapes (N, L) and (N,).
        first_epoch: int, the number of the epoch to begin with, from 0.

    Returns:
        A `tf.data.Dataset` of pairs (tokens, labels).
    """
    tokens, labels = tf.constant(tokens), tf.constant(labels)

    def one_epoch(epoch):
        order = tf.random.experimental.stateless_shuffle(
            tf.range(len(labels)), seed=tf.stack([config.seed, epoch])
        )
        return tf.data.Dataset.from_tensor_slices(order).batch(config.batch_size)

    epochs = tf.data.Dataset.range(first_epoch, config.epochs).flat_map(one_epoch)
    return epochs.map(
        lambda rows: (tf.gather(tokens, rows), tf.gather(labels, rows))
    ).prefetch(tf.data.AUTOTUNE)


def _start(output, config):
    """A new run's folder, with its configuration in it."""
    name = datetime.now().strftime("%Y-%m-%dT%H-%M-%S")
    output = expand(output)
    output.mkdir(parents=True, exist_ok=True)
    for number in itertools.count(1):
        run = output / (name if number == 1 else f"{name}-{number}")
        folder = run.with_name(run.name + UNFINISHED)
        if run.exists():
            continue
        try:
            folder.mkdir()
        except FileExistsError:  # another training has begun in the same second
            continue
        write_json(folder / "run.json", {"config": asdict(config)})
        return folder


def _reopen(path):
    """An unfinished run's folder and configuration."""
    path = expand(path)
    if not path.is_dir():
        raise RunError(f"there is no folder {path}")
    if not path.name.endswith(UNFINISHED):
        raise RunError(
            f"{path} is not an unfinished run: it does not end in {UNFINISHED}"
        )
    document = read_json(path / "run.json")
    try:
        return path, Config(**document["config"])
    except (KeyError, TypeError, ValueError) as error:
        raise RunError(f"{path / 'run.json'} is not a run's: {error}") from error


def _measure(config, data, model):
    """Loss and accuracy of the validation and the test reviews."""
    metrics = {}
    for name in ("validation", "test"):
        found = _loss_and_accuracy(model, *getattr(data, name), config)
        metrics |= {f"{name}_{metric}": value for metric, value in found.items()}
    return metrics


def _loss_and_accuracy(model, tokens, labels, config):
    """Of a compiled classifier, as `Run.evaluate` returns them."""
    loss, accuracy = model.evaluate(
        tokens, labels, batch_size=config.batch_size, verbose=0
    )
    return {"loss": float(loss), "accuracy": float(accuracy)}


def _save(folder, config, result, vectorizer, model):
    """Complete the folder, then give it the name of a finished run."""
    text = keras.Input((), dtype="string", name="text")
    logit = model(vectorizer(text))
    probability = keras.layers.Activation("sigmoid", name="probability")(logit)
    exported = keras.Model(text, probability, name=f"from_text_{config.attention_type}")
    exported.save(folder / "model.keras")
    path = folder.with_name(folder.name.removesuffix(UNFINISHED))
    run = Run(path, config, **result)
    write_json(folder / "run.json", run.document())
    # Without its checkpoints an unfinished run would begin anew: finish it first.
    folder.rename(path)
    for checkpoint in path.glob("checkpoint*"):
        shutil.rmtree(checkpoint)
    _draw(run, path / "learning_curves.png")
    return run


def _draw(run, path):
    """Draw the learning curves; if that fails, warn: the run matters more."""
    try:
        kept_epoch = run.metrics["kept_epoch"]
        figure = plot_history(run.history, run.config.attention_type, kept_epoch)
        save_figure(figure, path, dpi=150)
    except Exception as error:
        reason = " ".join(f"{type(error).__name__}: {error}".splitlines())
        warnings.warn(f"{path.name} could not be drawn: {reason}", stacklevel=2)


def read_json(path):
    """What a run's folder keeps in a file.

    Args:
        path: a `pathlib.Path`.

    Returns:
        JSON values.

    Raises:
        RunError: if the file is missing or damaged.
    """
    try:
        return json.loads(path.read_text())
    except FileNotFoundError as error:
        raise RunError(f"{path.parent} is not a run: it has no {path.name}") from error
    except ValueError as error:
        raise RunError(f"{path} is damaged: {error}") from error
