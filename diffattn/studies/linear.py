"""Plain linear baselines: logistic regression on words and on pairs of neighbours.

They are the mark that a model which sees order has to reach: a bag of single words
is blind to order, a bag of adjacent pairs sees as much of it as two neighbours show.
They read the same tokens as the classifiers (same vocabulary, same cut) and choose
their regularization on the validation reviews.

scikit-learn is an optional extra: ``pip install scikit-learn``.

Source of the naive-Bayes weights: Wang and Manning, *Baselines and Bigrams*,
ACL 2012, pages 90-94.
"""

import importlib
from collections.abc import Sequence
from dataclasses import dataclass
from types import ModuleType

import numpy as np
from scipy import sparse

from diffattn.checks import check_int
from diffattn.data.reviews import ReviewData
from diffattn.errors import UserError

#: The inverse regularization strengths that are tried on the validation reviews.
STRENGTHS = (0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0)


@dataclass(frozen=True)
class LinearResult:
    """What a linear model reached.

    Attributes:
        strength: float, the C that was best on the validation reviews.
        validation_accuracy, test_accuracy: floats.
        features: int, number of features.
        right: bool array, which of the test texts the model got right.
    """

    strength: float
    validation_accuracy: float
    test_accuracy: float
    features: int
    right: np.ndarray


def fit_linear(
    data: ReviewData,
    *,
    pairs: bool = False,
    weighted: bool = False,
    vocabulary_size: int = 10_000,
    sequence_length: int = 250,
    strengths: Sequence[float] = STRENGTHS,
) -> LinearResult:
    """Fit logistic regression to the words of a data set, and test it.

    A feature says whether a word, or a pair of adjacent words, is in the text. The
    model is trained on the training texts once for each strength; the one with the
    best validation accuracy (of equals the most regularized) is tested.

    Args:
        data: the `ReviewData`, its labels 0 and 1.
        pairs: bool, whether pairs of adjacent words are features beside the words.
        weighted: bool, whether each feature is multiplied by its `log_count_ratio`.
        vocabulary_size, sequence_length: ints, as for `make_vectorizer`.
        strengths: the values of C to choose from, positive floats.

    Returns:
        A `LinearResult`.

    Raises:
        UserError: if scikit-learn is missing.
        ValueError: if a number is out of its bounds or a label is neither 0 nor 1.
    """
    from diffattn.data.standardization import make_vectorizer, vectorize

    linear_model = _import_sklearn("linear_model")
    _check_labels(data)
    if len(strengths) == 0:
        raise ValueError("strengths must not be empty. Received: strengths of length 0")
    vectorizer = make_vectorizer(data.train.texts, vocabulary_size, sequence_length)
    parts = (data.train, data.validation, data.test)
    train, validation, test = bag_features(
        *(vectorize(vectorizer, part.texts) for part in parts),
        vocabulary_size=vocabulary_size,
        pairs=pairs,
    )
    if weighted:
        ratios = sparse.diags_array(log_count_ratio(train, data.train.labels))
        train, validation, test = (
            (features @ ratios).tocsr() for features in (train, validation, test)
        )
    strength, validation_accuracy, right = 0.0, -1.0, np.zeros(0, bool)
    for candidate in sorted(strengths):
        model = linear_model.LogisticRegression(C=candidate, max_iter=5000)
        model.fit(train, data.train.labels)
        accuracy = float(np.mean(model.predict(validation) == data.validation.labels))
        if accuracy > validation_accuracy:
            strength, validation_accuracy = candidate, accuracy
            right = model.predict(test) == data.test.labels
    return LinearResult(
        strength, validation_accuracy, float(right.mean()), train.shape[1], right
    )


def bag_features(
    train: np.ndarray, *others: np.ndarray, vocabulary_size: int, pairs: bool = False
) -> list[sparse.csr_array]:
    """Turn tokens into bags: which words, and which adjacent pairs, a text has.

    Padding (token 0) is no word; the unknown word (token 1) is one. Pairs that no
    training text has are left out, everywhere.

    Args:
        train: int array of shape (N, T), the tokens of the training texts.
        others: int arrays of shape (M, T), of other texts.
        vocabulary_size: int, the tokens are below it.
        pairs: bool, whether to append the adjacent pairs.

    Returns:
        A list of sparse matrices of 0.0 and 1.0 of shape (N or M, F), one for
        `train` and one for each of the others. The first `vocabulary_size` columns
        are the words, in the order of their tokens; the pairs follow, ordered by
        their first and then their second token.
    """
    check_int("vocabulary_size", vocabulary_size)
    all_tokens = [np.asarray(tokens, "int64") for tokens in (train, *others)]
    bags = [_presence(tokens, np.arange(vocabulary_size)) for tokens in all_tokens]
    if not pairs:
        return bags
    pair_codes = [_pair_codes(tokens, vocabulary_size) for tokens in all_tokens]
    known = np.unique(pair_codes[0])
    known = known[known > 0]
    return [
        sparse.hstack([bag, _presence(codes, known)], format="csr")
        for bag, codes in zip(bags, pair_codes, strict=True)
    ]


def log_count_ratio(
    features: sparse.csr_array, labels: np.ndarray, smoothing: float = 1.0
) -> np.ndarray:
    """Compute naive Bayes's weight of each feature.

    r = log((p / ‖p‖₁) / (q / ‖q‖₁)), where p = smoothing + Σ features of the texts
    labelled 1 and q the same of those labelled 0.

    Args:
        features: sparse matrix of shape (N, F).
        labels: int array of shape (N,), 0 or 1.
        smoothing: float, added to each count.

    Returns:
        A float64 array of shape (F,).
    """
    labels = np.asarray(labels)
    positive = smoothing + np.asarray(features[labels == 1].sum(axis=0), float)
    negative = smoothing + np.asarray(features[labels == 0].sum(axis=0), float)
    return np.log(positive / positive.sum()) - np.log(negative / negative.sum())


def _pair_codes(tokens, vocabulary_size):
    """One number for each pair of neighbours; 0 where either is padding."""
    first, second = tokens[:, :-1], tokens[:, 1:]
    return np.where((first > 0) & (second > 0), first * vocabulary_size + second, 0)


def _presence(codes, columns):
    """Which of the columns' codes a row has, as a sparse matrix of ones; 0 is none."""
    count, length = codes.shape
    rows, codes = np.repeat(np.arange(count), length), codes.ravel()
    if len(columns) == 0:
        return sparse.csr_array((count, 0))
    places = np.minimum(np.searchsorted(columns, codes), len(columns) - 1)
    known = (codes > 0) & (columns[places] == codes)
    ones = np.ones(known.sum())
    matrix = sparse.csr_array(
        (ones, (rows[known], places[known])), shape=(count, len(columns))
    )
    matrix.data[:] = 1.0  # a code that a row has twice was summed
    return matrix


def _check_labels(data):
    for name in ("train", "validation", "test"):
        labels = np.unique(getattr(data, name).labels)
        if not set(labels.tolist()) <= {0, 1}:
            raise ValueError(
                f"data.{name}.labels must be 0 or 1. Received: labels={labels.tolist()}"
            )


def _import_sklearn(name: str) -> ModuleType:
    try:
        return importlib.import_module(f"sklearn.{name}")
    except ImportError as error:
        raise UserError(
            "the linear baselines need scikit-learn: pip install scikit-learn"
        ) from error
