import numpy as np
import pytest

from diffattn import ATTENTION_TYPES
from diffattn.training.spread import largest_weight


@pytest.mark.parametrize("attention_type", ATTENTION_TYPES)
def test_without_spread_all_weights_are_alike(attention_type):
    assert largest_weight(attention_type, 0.0, tokens=20) == pytest.approx(1, abs=1e-5)


def test_a_small_embedding_leaves_the_weights_alike_and_a_large_one_does_not():
    """The scores' deviation is known: the largest of T normal numbers stands out."""
    small = largest_weight("scaled_dot_product", 0.029, embedding_dim=64)
    large = largest_weight("scaled_dot_product", 1.0, embedding_dim=64)
    # Glorot keeps the variance where there are as many features before as after, so
    # that scores of q · k / √d have the deviation spread².
    for spread, measured in ((0.029, small), (1.0, large)):
        rng = np.random.default_rng(0)
        scores = np.exp(spread**2 * rng.normal(size=(4000, 250)))
        expected = 250 * np.mean(scores.max(1) / scores.sum(1))
        assert measured == pytest.approx(expected, rel=0.15)
    assert small < 1.01
    assert large > 5


def test_bad_numbers_are_named():
    with pytest.raises(ValueError, match="spread must be a finite number, at least 0"):
        largest_weight("l1_norm", -0.1)
    with pytest.raises(ValueError, match="tokens must be a positive integer"):
        largest_weight("l1_norm", 0.1, tokens=0)
