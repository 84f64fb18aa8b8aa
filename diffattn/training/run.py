"""Train a classifier and save it as a run, a folder; load runs and use them."""

import errno
import itertools
import os
import shlex
import threading
import warnings
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime
from functools import cached_property
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from diffattn.data.datasets import check_at_rest
from diffattn.data.reviews import Reviews
from diffattn.data.standardization import as_bytes, vectorize
from diffattn.data.versions import STANDARDIZATION_VERSION, standardization_of
from diffattn.errors import RunError, UserError
from diffattn.figures import save_figure
from diffattn.files import check_folder, delete, expand, hold, read_json, write_json
from diffattn.names import BASELINE, KEPT, METRICS
from diffattn.training.checkpoint import delete_checkpoints
from diffattn.training.config import Config
from diffattn.training.curves import plot_history
from diffattn.training.document import check_document
from diffattn.training.fit import compile_classifier, evaluate, fit_and_evaluate
from diffattn.training.settings import keras_defaults
from diffattn.training.task import Task, get_task
from diffattn.training.tokens import check_backend, tokenize

#: The suffix of a run's folder until the run is finished.
UNFINISHED = ".unfinished"


@dataclass(frozen=True)
class Run:
    """A trained classifier, its settings, results and provenance.

    Attributes:
        path: the run's folder.
        config: the `Config` that it was trained with.
        history: dict from metric to a list with one number an epoch.
        metrics: dict of ``validation_loss``, ``validation_accuracy``, ``test_loss``,
            ``test_accuracy``, ``epochs`` (the number trained) and ``kept_epoch`` (the
            epoch whose weights the model has, counted from 1).
        provenance: dict of ``command``, ``seconds`` and ``cpu_seconds`` (of training
            and evaluation, since the last start), the ``data`` (name, fingerprint,
            numbers of reviews), the version of the ``standardization``, and the
            entries of `diffattn.provenance.provenance`.
        right: dict of ``test``: which test texts were answered correctly, in their
            order, for `diffattn.training.answers.unpack_right`. Empty where a text has
            more answers than one, and in older runs.
        tests: dict from the name of a further test set to its ``loss``, ``accuracy``
            and ``right``; empty where the data set has none.
        parameters: dict from the name of an attention layer to a dict from the name
            of a trained parameter of its score to its values, nested lists rounded to
            6 digits; empty where scores have none.
    """

    path: Path
    config: Config
    history: dict
    metrics: dict
    provenance: dict
    right: dict = field(default_factory=dict)
    tests: dict = field(default_factory=dict)
    parameters: dict = field(default_factory=dict)

    @cached_property
    def model(self) -> keras.Model:
        """The model from raw strings (N,) to probabilities (N, outputs).

        Its method ``export`` writes a SavedModel. ONNX and LiteRT cannot process text:
        for them, export ``model.layers[2]``, the classifier from tokens to logits.

        Raises:
            RunError: if the model's file is missing or damaged.
        """
        path = self.path / "model.keras"
        try:
            return keras.models.load_model(path)
        except Exception as error:  # Keras raises errors of many kinds for damage
            reason = next(iter(str(error).splitlines()), "")
            raise RunError(
                f"{path} cannot be loaded: {type(error).__name__}: {reason}"
            ) from error

    @property
    def task(self) -> Task:
        """The task that the model was trained for."""
        return get_task(self.config.dataset.task)

    def document(self) -> dict:
        """Return everything except path and model, as a dict of JSON values."""
        always = ("history", "metrics", "provenance")
        return {
            "config": asdict(self.config),
            **{part: getattr(self, part) for part in always},
            **{part: value for part in KEPT if (value := getattr(self, part))},
        }

    @keras_defaults()
    def predict(self, texts: str | Sequence[str]) -> np.ndarray:
        """Compute the probability that each text is positive.

        Args:
            texts: a str or a sequence of N str, raw.

        Returns:
            A NumPy array of shape (N,), float32; for a task with several outputs, the
            probabilities of all, of shape (N, outputs) or (N, L, outputs).
        """
        texts = [texts] if isinstance(texts, str) else list(texts)
        if not texts:
            return np.zeros(0, "float32")
        strings = tf.data.Dataset.from_tensor_slices(as_bytes(texts))
        batches = strings.batch(self.config.batch_size)
        probabilities = self.model.predict(batches, verbose=0)
        return probabilities[..., 0] if probabilities.shape[-1] == 1 else probabilities

    def attention(self, text: str) -> tuple[list[str], np.ndarray]:
        """Compute how the words of a text attend to each other.

        Args:
            text: a str, raw.

        Returns:
            (words, weights): the T words that the model reads, "[UNK]" for one that
            it does not know; and a NumPy array of shape (H, T, T), for
            ``differential`` (H, T, T, d), whose row i shows what word i attends to.
            Weights on padding, if there are any, are left out. They
            belong to the first attention layer, if there are several.

        Raises:
            ValueError: if the model is the baseline, which has no attention.
        """
        if self.config.attention_type == BASELINE:
            raise ValueError("the baseline, attention_type='none', has no attention")
        vectorizer, classifier = self.model.layers[1:3]
        tokens = vectorizer(tf.constant(as_bytes([text])))
        layer = classifier.get_layer("attention")
        x = keras.Model(classifier.input, layer.input)(tokens)
        causal = self.config.causal
        _, weights = layer(x, use_causal_mask=causal, return_attention_scores=True)
        vocabulary = vectorizer.get_vocabulary()
        words = [str(vocabulary[token]) for token in tokens[0].numpy() if token]
        count = len(words)
        return words, weights.numpy()[0, :, :count, :count]

    @keras_defaults()
    def evaluate(self, reviews: Reviews) -> dict[str, float]:
        """Measure loss and accuracy on labelled texts.

        Args:
            reviews: the texts and their labels.

        Returns:
            A dict of ``loss`` (mean cross-entropy) and ``accuracy``.
        """
        # From the logits, as in training: a probability that rounds to 0 or 1 no longer
        # shows how confident the model was.
        vectorizer, classifier = self.model.layers[1:3]
        tokens = vectorize(vectorizer, reviews.texts)
        compile_classifier(classifier, task=self.task.name)
        return evaluate(classifier, tokens, reviews.labels, self.config.batch_size)


def train(
    *,
    output: str | os.PathLike = "runs",
    resume: str | os.PathLike | None = None,
    tensorboard: bool = False,
    verbose: int | str = "auto",
    **settings: Any,
) -> Run:
    """Train a classifier and save it as a run.

    The run is a folder named after the time. It appears whole or not at all: until the
    run is finished, the name ends in ``.unfinished``. `resume` continues such a run
    after its last stored epoch, with the same result as without the interruption.

    Args:
        output: folder in which the run's folder is made.
        resume: path of an unfinished run to continue, with its own settings.
        tensorboard: whether to write logs for TensorBoard into the run.
        verbose: 0 for silence, 1 for a progress bar, 2 for a line an epoch,
            "auto" to let Keras choose.
        **settings: those of `Config`.

    Returns:
        The `Run`.

    Raises:
        ValueError: on a setting out of its bounds.
        TypeError: on an unknown setting.
        UserError: if Keras does not run on TensorFlow, if `output` is not writable, or
            if TensorBoard is requested but not installed.
        diffattn.errors.DataError: if the data are missing or damaged.
        RunError: if `resume` is not an unfinished run, is damaged, or was started with
            other reviews or another standardization.
        DivergenceError: if the loss is no longer finite.

    Example:
        >>> run = train(attention_type="differential", epochs=1, verbose=0)
        >>> run.predict(["Not good, but fun.", "Not fun, but good."]).shape
        (2,)
    """
    if resume is not None and settings:
        raise ValueError(f"resume takes no settings. Received: {', '.join(settings)}")
    with ExitStack() as stack:
        if resume is None:
            config = Config(**settings)
            check_folder(output)
        else:
            folder = _check_unfinished(resume)
            stack.enter_context(hold(folder))
            config, finished = _reopen(folder)
        if tensorboard and find_spec("tensorboard") is None:
            raise UserError("tensorboard is not installed: pip install tensorboard")
        if resume is not None and finished:
            return _finish(finished)
        data = tokenize(config, progress=verbose != 0)
        if resume is None:
            folder = _start(output, config)
            stack.enter_context(hold(folder))
        return _train(folder, config, data, tensorboard, verbose)


def _train(folder, config, data, tensorboard, verbose):
    callbacks = (
        [keras.callbacks.TensorBoard(folder / "tensorboard")] if tensorboard else []
    )
    try:
        model, result = fit_and_evaluate(
            config, data, folder, callbacks=callbacks, verbose=verbose
        )
        return _save(folder, config, result, data, model)
    except KeyboardInterrupt:
        if verbose != 0:
            command = f"diffattn train --resume {shlex.quote(str(folder))}"
            print(f"\ninterrupted; to resume: {command}")
        raise


def load_run(path: str | os.PathLike) -> Run:
    """Load a run that `train` has saved.

    Args:
        path: the run's folder.

    Returns:
        The `Run`.

    Raises:
        RunError: if the folder is missing, damaged, or not a finished run, or if the
            run was trained on tokens of another standardization.
        UserError: if Keras does not run on TensorFlow.
    """
    check_backend()
    path = expand(path)
    if not path.is_dir():
        raise RunError(f"there is no folder {path}")
    if path.name.endswith(UNFINISHED):
        raise RunError(f"{path} is an unfinished run: resume it with --resume {path}")
    document = read_json(path / "run.json")
    if not (path / "model.keras").is_file():
        raise RunError(f"{path} is not a whole run: it has no model.keras")
    run = _as_run(path, document)
    version = standardization_of(run.config.data, run.provenance)
    if version != STANDARDIZATION_VERSION:
        raise RunError(
            f"{path} was trained with standardization {version}; the current one, "
            f"{STANDARDIZATION_VERSION}, gives other tokens: train it again"
        )
    _check_model(run)  # loaded now, to report damage before any other work
    return run


#: The layers of a saved model, from text to probabilities.
_LAYERS = (
    keras.layers.InputLayer,
    keras.layers.TextVectorization,
    keras.Model,
    keras.layers.Activation,
)


def _check_model(run):
    """Check that a run's model is one that `train` has saved, for the run's task."""
    layers = getattr(run.model, "layers", ())
    if len(layers) != len(_LAYERS) or not all(map(isinstance, layers, _LAYERS)):
        raise RunError(
            f"{run.path} cannot be loaded: its model is not one of diffattn train"
        )
    activation = keras.activations.serialize(layers[-1].activation)
    if activation != run.task.activation:
        raise RunError(
            f"{run.path} cannot be loaded: its model ends in {activation}, and the "
            f"task of data={run.config.data!r} in {run.task.activation}; a data set of "
            "your own must be imported first (--import)"
        )


def _as_run(path, document):
    """Make a `Run` of what its run.json says."""
    try:
        check_document(document)
        for name in (*METRICS, "epochs", "kept_epoch"):
            _ = document["metrics"][name]
        document = {**document}
        return Run(path, Config(**document.pop("config")), **document)
    except (
        AttributeError,
        KeyError,
        RecursionError,
        TypeError,
        ValueError,
    ) as error:
        raise RunError(
            f"{path / 'run.json'} does not describe a run: {error}"
        ) from error


def _start(output, config):
    """Make a new run's folder with its configuration; it appears with both at once."""
    name = datetime.now().strftime("%Y-%m-%dT%H-%M-%S")
    output = expand(output)
    output.mkdir(parents=True, exist_ok=True)
    new = output / f".{name}-{os.getpid()}-{threading.get_ident()}.new"
    try:
        new.mkdir()
        write_json(new / "run.json", {"config": asdict(config)})
        for number in itertools.count(1):
            run = output / (name if number == 1 else f"{name}-{number}")
            folder = run.with_name(run.name + UNFINISHED)
            if not run.exists() and _rename(new, folder):
                return folder
    finally:
        delete(new)


def _rename(folder, path):
    """Rename a folder, unless another one with files in it has that name."""
    try:
        folder.rename(path)
    except OSError as error:
        if error.errno in (errno.EEXIST, errno.ENOTEMPTY, errno.ENOTDIR):
            return False
        raise
    return True


def _check_unfinished(path):
    """Return the path of an unfinished run's folder."""
    path = expand(path)
    if not path.is_dir():
        raise RunError(f"there is no folder {path}")
    if not path.name.endswith(UNFINISHED):
        raise RunError(
            f"{path} is not an unfinished run: it does not end in {UNFINISHED}"
        )
    return path


def _reopen(path):
    """Read an unfinished run's configuration, and the `Run` if all is done but a name.

    A training that was killed in its last moment has left such a run.
    """
    document = read_json(path / "run.json")
    if isinstance(document, dict) and "metrics" in document:
        run = _as_run(path, document)
        return run.config, run
    try:
        config = Config(**document["config"])
    except (KeyError, TypeError, ValueError) as error:
        raise RunError(
            f"{path / 'run.json'} does not describe a run: {error}"
        ) from error
    check_at_rest(config)
    return config, None


@keras_defaults()
def _save(folder, config, result, data, model):
    """Complete the folder, then give it the name of a finished run."""
    text = keras.Input((), dtype="string", name="text")
    logit = model(data.vectorizer(text))
    activation = data.task.activation
    probability = keras.layers.Activation(activation, name="probability")(logit)
    exported = keras.Model(text, probability, name="from_text")
    exported.save(folder / "model.keras")
    run = Run(folder, config, **result)
    _draw(run, folder / "learning_curves.png")
    # From here on, resuming only finishes what is left to do.
    write_json(folder / "run.json", run.document())
    return _finish(run)


def _finish(run):
    """Delete what only a training needs, and give the run the name of a finished one.

    Each step may be the last before the process is killed: the next call goes on.
    """
    delete_checkpoints(run.path)
    path = run.path.with_name(run.path.name.removesuffix(UNFINISHED))
    if not _rename(run.path, path):
        raise RunError(f"{run.path} is whole, but {path} is in the way: rename it")
    return replace(run, path=path)


def _draw(run, path):
    """Draw the learning curves, and only warn if that fails: the run is worth more."""
    try:
        kept_epoch = run.metrics["kept_epoch"]
        figure = plot_history(run.history, run.config.attention_type, kept_epoch)
        save_figure(figure, path, dpi=150)
    except Exception as error:
        reason = " ".join(f"{type(error).__name__}: {error}".splitlines())
        warnings.warn(f"{path.name} could not be drawn: {reason}", stacklevel=2)
