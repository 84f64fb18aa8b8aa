import numpy as np
import pytest
from tools import T, qkv, worst

from diffattn import ATTENTION_TYPES
from diffattn.attention.scores import (
    REGISTRY,
    SYMMETRIES,
)
from diffattn.attention.symmetries import TRANSFORMATIONS, change_of_weights


@pytest.mark.parametrize("symmetry", SYMMETRIES)
@pytest.mark.parametrize("attention_type", ATTENTION_TYPES)
def test_6_and_7_symmetries_hold_where_declared_and_nowhere_else(
    attention_type, symmetry
):
    change = change_of_weights(attention_type, symmetry)
    if symmetry in REGISTRY[attention_type].symmetries:
        assert change < 1e-12
    else:
        assert change > 1e-3


def test_every_symmetry_can_be_carried_out():
    assert TRANSFORMATIONS.keys() == SYMMETRIES.keys()
    with pytest.raises(ValueError, match="symmetry must be one of permutation, key_"):
        change_of_weights("l1_norm", "time")


def test_the_transformations_are_what_they_say():
    q, k, _ = qkv(keys=T)
    lengths = np.linalg.norm
    for name, transform in TRANSFORMATIONS.items():
        q2, k2 = transform(q, k, np.random.default_rng(0))
        assert worst(q2, q) > 0.1 or name == "key_translation"
        assert worst(k2, k) > 0.1
        if name == "permutation":
            assert worst(np.sort(k2, axis=2), np.sort(k, axis=2)) == 0
        if name.endswith("translation"):
            assert np.ptp(k2 - k, axis=(0, 1, 2)).max() < 1e-12
        if name == "joint_translation":
            assert worst((q2 - q)[0, 0], (k2 - k)[0, 0]) < 1e-12
        if name == "rotation":
            assert worst(lengths(k2, axis=-1), lengths(k, axis=-1)) < 1e-12
            assert worst((q2 * k2).sum(-1), (q * k).sum(-1)) < 1e-12
        if name == "rescaling":
            assert (np.ptp(k2 / k, axis=-1) < 1e-12).all()
            assert (k2 / k).min() > 0
