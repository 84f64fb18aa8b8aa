"""A data set as the classifier takes it: tokens and labels."""

from dataclasses import dataclass, field

import keras
import numpy as np

from diffattn.data.datasets import load_data
from diffattn.data.standardization import make_vectorizer, vectorize
from diffattn.data.texts import standardized_words
from diffattn.errors import UserError
from diffattn.training.config import Config
from diffattn.training.task import Task, get_task


@dataclass(frozen=True)
class Tokenized:
    """A data set as the classifier takes it.

    Attributes:
        vectorizer: the layer from strings to tokens.
        train, validation, test: pairs (tokens of shape (N, L), labels (N,)).
        description: dict of the data's name, fingerprint and numbers of reviews.
        task: what the labels mean.
        tests: dict from the name of a further test set to such a pair, as long as its
            longest text.
    """

    vectorizer: keras.layers.TextVectorization
    train: tuple[np.ndarray, np.ndarray]
    validation: tuple[np.ndarray, np.ndarray]
    test: tuple[np.ndarray, np.ndarray]
    description: dict
    task: Task
    tests: dict[str, tuple[np.ndarray, np.ndarray]] = field(default_factory=dict)


def tokenize(config: Config, progress: bool = False) -> Tokenized:
    """Turn texts into tokens, once for all epochs; the vocabulary is training's.

    Args:
        config: a `Config`.
        progress: whether to show how far it is.

    Returns:
        A `Tokenized`.

    Raises:
        UserError: if Keras runs on another backend than TensorFlow.
        diffattn.errors.DataError: if the data are missing or damaged.
    """
    check_backend()
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
        task=get_task(config.dataset.task),
        tests={
            name: (
                vectorize(_lengthened(vectorizer, part.texts), part.texts),
                part.labels,
            )
            for name, part in reviews.tests.items()
        },
    )


def _lengthened(vectorizer, texts):
    """The vectorizer with the same vocabulary that cuts none of the texts."""
    longest = max((len(words) for words in standardized_words(texts)), default=0)
    settings = {**vectorizer.get_config(), "output_sequence_length": max(1, longest)}
    return keras.layers.TextVectorization(**settings)


def check_backend() -> None:
    """See that Keras runs on TensorFlow, which alone has tensors of text.

    Raises:
        UserError: if it runs on another backend.
    """
    backend = keras.config.backend()
    if backend != "tensorflow":
        raise UserError(
            "training and loading runs need Keras's TensorFlow backend, because their "
            f"models read text. Received: KERAS_BACKEND={backend}. The layer itself "
            "runs on it."
        )
