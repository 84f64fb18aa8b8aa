import numpy as np
import pytest
import reference
from tools import gradients, pair_mask, qkv, worst

from diffattn.attention.kernels.softmax import (
    attention_weights,
    masked_softmax,
    softmax_and_weigh,
    weigh,
)


def by_hand(scores, mask):
    """Row by row, over what is permitted alone."""
    weights = np.zeros_like(scores)
    for place in np.ndindex(scores.shape[:3]):
        seen = mask[place]
        if seen.any():
            exponentials = np.exp(scores[place][seen] - scores[place][seen].max())
            weights[place][seen] = exponentials / exponentials.sum()
    return weights


@pytest.mark.parametrize("size", [1.0, 1e4])
def test_weights_are_those_of_what_is_permitted(size):
    q, k, _ = qkv()
    scores, mask = size * reference.score(q, k, "l2_norm"), pair_mask()
    weights = masked_softmax(scores, mask, axis=3)
    assert worst(weights, by_hand(scores, mask)) < 1e-12
    assert not np.asarray(weights)[~mask].any()


def test_one_key_has_all_the_weight_without_a_warning(recwarn):
    scores = np.random.default_rng(0).normal(size=(2, 3, 5, 1))
    assert (np.asarray(masked_softmax(scores, None, axis=3)) == 1).all()
    assert not recwarn.list


@pytest.mark.parametrize("dropped", [False, True])
@pytest.mark.parametrize("masked", [False, True])
def test_the_gradient_by_hand_is_that_of_the_operations(masked, dropped):
    q, k, v = qkv()
    scores = reference.score(q, k, "scaled_dot_product")
    mask = pair_mask() if masked else None
    rng = np.random.default_rng(2)
    dropout_mask = 2.0 * (rng.random(scores.shape) < 0.5) if dropped else None

    def plain(s, v):
        return weigh(attention_weights(s, mask, "float64"), v, dropout_mask) ** 2

    def lean(s, v):
        return softmax_and_weigh(s, v, mask, dropout_mask) ** 2

    assert worst(lean(scores, v), plain(scores, v)) < 1e-12
    for one, other in zip(
        gradients(lean, scores, v), gradients(plain, scores, v), strict=True
    ):
        assert worst(one, other) < 1e-12
