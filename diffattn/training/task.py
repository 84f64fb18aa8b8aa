"""What a classifier is asked: its last layers, its loss, and how it answers."""

from collections.abc import Callable
from dataclasses import dataclass

import keras
import numpy as np

from diffattn.checks import check_choice
from diffattn.training.layers import LastToken, MeanOverTokens


@dataclass(frozen=True)
class Task:
    """An entry of `TASKS`.

    Attributes:
        name: what a `diffattn.data.datasets.Dataset` calls it.
        pool: makes the layer from (B, T, F) to (B, F) before the last layer, or None
            where every token has an answer of its own.
        count_outputs: function from the training labels to the number of logits.
        make_loss: makes the loss of (labels, logits).
        make_metric: makes the metric of (labels, logits), named "accuracy".
        activation: from logits to probabilities: "sigmoid" or "softmax".
        format_answer: function from the probabilities of one text to what
            ``diffattn predict`` prints.
        find_right: function from the logits (N, outputs) and the labels (N,) to a bool
            array (N,), True where the answer is right, as the metric counts it; or
            None where a text has more answers than one.
    """

    name: str
    pool: Callable[[], keras.layers.Layer] | None
    count_outputs: Callable[[np.ndarray], int]
    make_loss: Callable[[], keras.losses.Loss]
    make_metric: Callable[[], keras.metrics.Metric]
    activation: str
    format_answer: Callable[[np.ndarray], str]
    find_right: Callable[[np.ndarray, np.ndarray], np.ndarray] | None = None


def get_task(name: str) -> Task:
    """Return the task of that name.

    Raises:
        ValueError: if there is none; the message lists those there are.
    """
    check_choice("task", name, TASKS)
    return TASKS[name]


def mean_over_tokens() -> keras.layers.Layer:
    """Make the mean over the tokens that a mask leaves."""
    return MeanOverTokens(data_format="channels_last", name="mean")


def last_token() -> keras.layers.Layer:
    """Make what takes the last token, the place where the answer is asked for."""
    return LastToken(name="last")


def _count_values(labels):
    """The number V of different labels, which are 0 to V − 1.

    Raises:
        ValueError: if one of them is missing, which no training would learn.
    """
    found = np.unique(labels)
    if not np.array_equal(found, np.arange(len(found))):
        raise ValueError(
            "the training labels must be all of 0 to the highest. "
            f"Received: {len(found)} different labels from {found[0]} to {found[-1]}"
        )
    return len(found)


#: The tasks by name.
TASKS: dict[str, Task] = {
    "sentiment": Task(
        "sentiment",
        pool=mean_over_tokens,
        count_outputs=lambda labels: 1,
        make_loss=lambda: keras.losses.BinaryCrossentropy(from_logits=True),
        make_metric=lambda: keras.metrics.BinaryAccuracy(
            name="accuracy", threshold=0.0
        ),
        activation="sigmoid",
        format_answer=lambda probabilities: f"{probabilities:.4f}",
        find_right=lambda logits, labels: (logits[:, 0] > 0) == (labels == 1),
    ),
    # The texts of a part are all equally long, and as long as the classifier reads:
    # padding would stand where the answer is read.
    "recall": Task(
        "recall",
        pool=last_token,
        count_outputs=_count_values,
        make_loss=lambda: keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        make_metric=lambda: keras.metrics.SparseCategoricalAccuracy(name="accuracy"),
        activation="softmax",
        format_answer=lambda probabilities: f"v{probabilities.argmax()}",
        find_right=lambda logits, labels: logits.argmax(axis=-1) == labels,
    ),
}
