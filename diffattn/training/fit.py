"""Train a classifier as a configuration says, and measure it."""

import inspect
import math
import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf

from diffattn.data.versions import STANDARDIZATION_VERSION
from diffattn.provenance import provenance
from diffattn.training.answers import pack_right
from diffattn.training.checkpoint import Checkpoint
from diffattn.training.config import Config
from diffattn.training.model import build_classifier
from diffattn.training.settings import keras_defaults
from diffattn.training.task import get_task
from diffattn.training.tokens import Tokenized


@keras_defaults()
def fit_and_evaluate(
    config: Config,
    data: Tokenized,
    folder: Path,
    *,
    callbacks: Sequence[keras.callbacks.Callback] = (),
    verbose: int | str = "auto",
) -> tuple[keras.Model, dict]:
    """Train as `fit` does, then measure the model.

    Args:
        config, data, folder, callbacks, verbose: as for `fit`.

    Returns:
        (model, result): the trained `keras.Model` from tokens to logits, and a dict
        of ``history``, ``metrics`` and ``provenance`` as `Run` has them, and of
        ``right``, ``tests`` and ``parameters`` where there is any of it.

    Raises:
        RunError: if the state in the folder is damaged or comes from other tokens.
        DivergenceError: if the loss is no longer finite.
    """
    # First of all: if this fails, it fails before the training.
    origin = origin_of(config)
    started, cpu_started = time.monotonic(), time.process_time()
    model, history, kept_epoch = fit(
        config, data, folder, callbacks=callbacks, verbose=verbose
    )
    metrics = {
        **_measure(config, data, model),
        "epochs": len(history["loss"]),
        "kept_epoch": kept_epoch,
    }
    kept = _kept(config, data, model)
    origin |= {
        "seconds": round(time.monotonic() - started, 1),
        "cpu_seconds": round(time.process_time() - cpu_started, 1),
        "data": data.description,
    }
    result = {"history": history, "metrics": metrics, **kept, "provenance": origin}
    return model, result


def origin_of(config: Config) -> dict:
    """Return what is known of a run before it: provenance without data and times."""
    return {
        "command": config.command(),
        "standardization": STANDARDIZATION_VERSION,
        **provenance(),
    }


def fit(
    config: Config,
    data: Tokenized,
    folder: Path,
    *,
    callbacks: Sequence[keras.callbacks.Callback] = (),
    verbose: int | str = "auto",
) -> tuple[keras.Model, dict, int]:
    """Train the classifier that a configuration describes, or go on training it.

    Args:
        config: the settings.
        data: the data set.
        folder: where the state after each epoch is stored, and restored from if
            there is one.
        callbacks: more callbacks, after early stopping and the checkpoint.
        verbose: as for `train`.

    Returns:
        (model, history, kept_epoch): the trained `keras.Model` from tokens to
        logits, a dict from metric to a list with one number an epoch, and the
        number of the epoch whose weights the model has, counted from 1: the
        best one if `config.early_stopping`, else the last.

    Raises:
        RunError: if the state in the folder is damaged or comes from other tokens.
        DivergenceError: if the loss is no longer finite.
    """
    model = _make_classifier(config, data)
    stopping = _Stopping(
        config.target_accuracy,
        monitor="val_loss",
        mode="min",
        min_delta=config.min_delta,
        patience=config.patience if config.early_stopping else config.epochs,
        restore_best_weights=config.early_stopping,
    )
    checkpoint = Checkpoint(folder, stopping, data.description)
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


class _Stopping(keras.callbacks.EarlyStopping):
    """Early stopping that stops as well once the validation accuracy is high enough.

    Args:
        target: that accuracy, or None for no such stop.
        **options: of early stopping.
    """

    def __init__(self, target, **options):
        super().__init__(**options)
        self.target = target

    def on_epoch_end(self, epoch, logs=None):
        super().on_epoch_end(epoch, logs)
        if self.target is not None and logs["val_accuracy"] >= self.target:
            self.stopped_epoch = epoch
            self.model.stop_training = True


def training_batches(
    config: Config, tokens: np.ndarray, labels: np.ndarray, first_epoch: int
) -> tf.data.Dataset:
    """Give all epochs' batches in a row, each epoch in an order of its own.

    The order comes from the seed and the epoch's number alone, so that a
    resumed training sees what it would have seen.

    Args:
        config: the settings.
        tokens, labels: arrays of shapes (N, L) and (N,) or (N, L).
        first_epoch: the number of the epoch to begin with, from 0.

    Returns:
        A `tf.data.Dataset` of pairs (tokens, labels).
    """
    tokens, labels = tf.constant(tokens), tf.constant(labels)
    seed = config.seed if config.order_seed is None else config.order_seed

    def one_epoch(epoch):
        order = tf.random.experimental.stateless_shuffle(
            tf.range(len(labels)), seed=tf.stack([seed, epoch])
        )
        return tf.data.Dataset.from_tensor_slices(order).batch(config.batch_size)

    epochs = tf.data.Dataset.range(first_epoch, config.epochs).flat_map(one_epoch)
    return epochs.map(
        lambda rows: (tf.gather(tokens, rows), tf.gather(labels, rows))
    ).prefetch(tf.data.AUTOTUNE)


def _make_classifier(config, data, **other_settings):
    settings = asdict(config) | other_settings
    names = inspect.signature(build_classifier).parameters
    model = build_classifier(
        **{name: settings[name] for name in names if name in settings},
        task=data.task.name,
        outputs=data.task.count_outputs(data.train[1]),
    )
    return compile_classifier(model, config.learning_rate, task=data.task.name)


def compile_classifier(
    model: keras.Model, learning_rate: float = 0.001, *, task: str = "sentiment"
) -> keras.Model:
    """Compile a classifier as the documented one is trained, and return it.

    Args:
        model: from tokens to logits of shape (B, outputs).
        learning_rate: Adam's.
        task: a key of `diffattn.training.task.TASKS`: which loss and metric.

    Returns:
        The model itself.
    """
    asked = get_task(task)
    model.compile(
        optimizer=keras.optimizers.Adam(learning_rate),
        loss=asked.make_loss(),
        metrics=[asked.make_metric()],
        # On a CPU, TensorFlow's own kernels are faster than XLA's for this model.
        jit_compile=False if keras.config.backend() == "tensorflow" else "auto",
    )
    return model


def _measure(config, data, model):
    """Loss and accuracy on the validation and the test set."""
    parts = {"validation": data.validation, "test": data.test}
    return {
        f"{name}_{metric}": value
        for name, (tokens, labels) in parts.items()
        for metric, value in evaluate(model, tokens, labels, config.batch_size).items()
    }


def _kept(config, data, model):
    """What is kept of a run besides its figures, without what there is none of."""
    kept = {
        "right": _right_in_test(config, data, model),
        "tests": _measure_tests(config, data, model),
        "parameters": _score_parameters(model),
    }
    return {name: values for name, values in kept.items() if values}


def _right_in_test(config, data, model):
    find_right = data.task.find_right
    if find_right is None:
        return {}
    tokens, labels = data.test
    return {"test": pack_right(find_right(_logits(config, model, tokens), labels))}


def _measure_tests(config, data, model):
    """Measure the further test sets, whose texts may have any length."""
    if not data.tests:
        return {}
    of_any_length = _make_classifier(config, data, sequence_length=None)
    of_any_length.set_weights(model.get_weights())
    return {
        name: _measure_logits(data.task, _logits(config, of_any_length, tokens), labels)
        for name, (tokens, labels) in data.tests.items()
    }


def _logits(config, model, tokens):
    return model.predict(tokens, batch_size=config.batch_size, verbose=0)


def _measure_logits(task, logits, labels):
    """Loss, accuracy and, where texts have one answer, which were right, packed."""
    accuracy = task.make_metric()
    accuracy.update_state(labels, logits)
    measured = {
        "loss": float(task.make_loss()(labels, logits)),
        "accuracy": float(accuracy.result()),
    }
    if task.find_right is not None:
        measured["right"] = pack_right(task.find_right(logits, labels))
    return measured


def _score_parameters(model):
    """The trained values of the scores' own parameters, layer by layer."""
    return {
        layer.name: {
            name: np.round(
                keras.ops.convert_to_numpy(value).astype("float64"), 6
            ).tolist()
            for name, value in parameters.items()
        }
        for layer in model.layers
        if (parameters := getattr(layer, "score_parameters", None))
    }


def evaluate(
    model: keras.Model, tokens: np.ndarray, labels: np.ndarray, batch_size: int
) -> dict[str, float]:
    """Measure the ``loss`` and the ``accuracy`` of a compiled classifier."""
    loss, accuracy = model.evaluate(tokens, labels, batch_size=batch_size, verbose=0)
    return {"loss": float(loss), "accuracy": float(accuracy)}
