import numpy as np
import reference
from keras import ops
from tools import D, qkv, worst

from diffattn.attention.attend import attend
from diffattn.attention.scores import (
    score,
)


def test_8_cosine_scores_and_weights_have_a_ceiling():
    tokens = 250
    rng = np.random.default_rng(0)
    keys = -np.ones((1, 1, tokens, D)) + 0.01 * rng.normal(size=(1, 1, tokens, D))
    keys[0, 0, 17] = 1
    query = np.ones((1, 1, 1, D))
    weights = ops.convert_to_numpy(
        attend(query, keys, keys, "cosine_similarity")[1]
    ).max()
    ceiling = np.e**2 / (np.e**2 + tokens - 1)
    assert round(ceiling, 3) == 0.029
    # The most favourable keys reach it, no keys exceed it.
    assert 0.99 * ceiling < weights < ceiling
    q, k, _ = qkv()
    s = ops.convert_to_numpy(score(100 * q, k, "cosine_similarity"))
    assert np.abs(s).max() <= 1 + 1e-12


def test_cosine_similarity_of_tiny_vectors():
    q, k, _ = qkv()
    expected = reference.score(q, k, "cosine_similarity")
    tiny = [(1e-30 * x).astype("float32") for x in (q, k)]
    assert worst(score(*tiny, "cosine_similarity"), expected) < 1e-5
