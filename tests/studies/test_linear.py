import sys
from collections import Counter
from itertools import pairwise

import numpy as np
import pytest
from scipy import sparse

from diffattn.data.order import load_order
from diffattn.data.reviews import ReviewData, Reviews
from diffattn.data.sample import load_sample
from diffattn.errors import UserError
from diffattn.studies.linear import bag_features, fit_linear, log_count_ratio

TOKENS = np.random.RandomState(0).randint(0, 6, (30, 8))
#: Padding is at the end.
TOKENS = np.array([sorted(row, key=lambda token: token == 0) for row in TOKENS])


@pytest.mark.parametrize("pairs", [False, True])
def test_bags_are_what_counting_finds(pairs):
    train, test = TOKENS[:20], TOKENS[20:]
    found = bag_features(train, test, vocabulary_size=6, pairs=pairs)

    def features(row):
        tokens = [int(token) for token in row if token]
        return {*tokens, *(pairwise(tokens) if pairs else ())}

    known = sorted({p for row in train for p in pairwise(r for r in row if r)})
    names = [*range(6), *(known if pairs else ())]
    for rows, bags in zip((train, test), found, strict=True):
        assert bags.dtype == float
        wanted = [[name in features(row) for name in names] for row in rows]
        assert bags.toarray().tolist() == np.array(wanted, float).tolist()


def test_pairs_that_training_has_not_are_left_out():
    train, test = np.array([[2, 3, 0]]), np.array([[3, 2, 3], [3, 2, 0], [5, 5, 5]])
    _, found = bag_features(train, test, vocabulary_size=6, pairs=True)
    assert found.shape == (3, 7)
    assert found.toarray()[:, 6].tolist() == [1, 0, 0]
    _, none = bag_features(train[:, :1], test, vocabulary_size=6, pairs=True)
    assert none.shape == (3, 6)


def test_the_ratio_of_a_case_worked_out_by_hand():
    """p = 1 + (2, 1, 0), q = 1 + (0, 1, 1): sums 6 and 5."""
    features = sparse.csr_array([[1.0, 1, 0], [1, 0, 0], [0, 1, 1]])
    found = log_count_ratio(features, [1, 1, 0])
    wanted = np.log([(3 / 6) / (1 / 5), (2 / 6) / (2 / 5), (1 / 6) / (2 / 5)])
    assert found == pytest.approx(wanted)


def test_without_scikit_learn_the_way_out_is_told(monkeypatch):
    monkeypatch.setitem(sys.modules, "sklearn", None)
    monkeypatch.setitem(sys.modules, "sklearn.linear_model", None)
    with pytest.raises(UserError, match="pip install scikit-learn"):
        fit_linear(load_sample(train_reviews=50, test_reviews=10))


@pytest.fixture
def sklearn():
    pytest.importorskip("sklearn")


SIZES = {"vocabulary_size": 30, "sequence_length": 10}


@pytest.mark.parametrize("weighted", [False, True])
def test_words_are_blind_to_order_and_pairs_are_not(weighted, sklearn):
    """On neighbours in order: exactly one half, and all."""
    data = load_order(length=10, train_sequences=1000, test_sequences=200)
    words = fit_linear(data, weighted=weighted, **SIZES)
    assert words.test_accuracy == 0.5
    assert words.features == 30
    pairs = fit_linear(data, pairs=True, weighted=weighted, **SIZES)
    assert pairs.test_accuracy > 0.99
    assert pairs.right.shape == (200,)
    assert pairs.right.mean() == pairs.test_accuracy
    apart = load_order(length=10, distance=3, train_sequences=1000, test_sequences=200)
    pairs = fit_linear(apart, pairs=True, weighted=weighted, **SIZES)
    assert pairs.test_accuracy < 0.9


def test_the_strength_is_chosen_on_validation(sklearn):
    data = load_sample(train_reviews=600, test_reviews=200)
    found = fit_linear(data, strengths=(1e-4, 1.0, 0.03))
    alone = [fit_linear(data, strengths=(c,)) for c in (1e-4, 0.03, 1.0)]
    best = max(alone, key=lambda one: one.validation_accuracy)
    assert found.strength == best.strength
    assert found.validation_accuracy == best.validation_accuracy
    assert found.test_accuracy == best.test_accuracy
    assert (found.right == best.right).all()


def test_the_model_is_the_minimum_of_its_objective(sklearn):
    """½‖w‖² + C Σ log(1 + exp(−y (w·x + b))), by Newton's method in NumPy."""
    words = ("good", "dull", "plot", "fun")
    random = np.random.RandomState(0)
    bags = random.rand(150, 4) < 0.5
    labels = (bags @ [2, -2, 0, 1] + random.normal(size=150) > 0.4).astype("int32")
    texts = [
        " ".join(w for w, has in zip(words, bag, strict=True) if has) or "fun"
        for bag in bags
    ]
    reviews = Reviews(np.array(texts, dtype=object), labels)
    data = ReviewData("made", reviews[:80], reviews[80:90], reviews[90:], "")
    found = fit_linear(data, strengths=(0.5,), vocabulary_size=6, sequence_length=4)

    def design(part):
        counts = [Counter(text.split()) for text in part.texts]
        return np.array([[*(w in c for w in words), 1] for c in counts], float)

    x, y = design(data.train), 2.0 * data.train.labels - 1
    w, ridge = np.zeros(5), np.diag([1.0, 1, 1, 1, 0])
    for _ in range(50):
        p = 1 / (1 + np.exp(y * (x @ w)))
        gradient = ridge @ w - 0.5 * x.T @ (y * p)
        w -= np.linalg.solve(ridge + 0.5 * x.T * (p * (1 - p)) @ x, gradient)
    assert abs(gradient).max() < 1e-12
    predicted = design(data.test) @ w > 0
    assert found.right.tolist() == (predicted == data.test.labels).tolist()
    assert 0.6 < found.test_accuracy < 1


def test_labels_other_than_0_and_1_are_named(sklearn):
    reviews = Reviews(np.array(["a", "b"], dtype=object), np.array([0, 2]))
    data = ReviewData("made", reviews, reviews, reviews, "")
    with pytest.raises(
        ValueError, match=r"data\.train\.labels must be 0 or 1.*\[0, 2\]"
    ):
        fit_linear(data)
    with pytest.raises(ValueError, match="strengths must not be empty"):
        fit_linear(load_sample(train_reviews=50, test_reviews=10), strengths=())
