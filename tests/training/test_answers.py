import numpy as np
import pytest

from diffattn.errors import UserError
from diffattn.training.answers import pack_right, unpack_right


@pytest.mark.parametrize("count", [0, 1, 7, 8, 9, 25_000])
def test_packed_answers_come_back(count):
    right = np.random.default_rng(count).random(count) < 0.8
    packed = pack_right(right)
    assert unpack_right(packed).tolist() == right.tolist()
    assert unpack_right(packed).dtype == bool
    assert packed.isascii()
    assert len(packed) < 24 + count / 6 * 1.01


def test_packed_answers_are_bits_in_base64():
    """By hand: 1010 0000 1000 0000 is A0 80, in base64 oIA=."""
    right = np.array([1, 0, 1, 0, 0, 0, 0, 0, 1], bool)
    assert pack_right(right) == "9:oIA="


@pytest.mark.parametrize(
    "damaged", ["", "9", "x:oIA=", "9:oIA", "8:oIA=", "17:oIA=", "-1:", "9:o A=", None]
)
def test_damaged_answers_are_refused(damaged):
    with pytest.raises(UserError, match="is no packed list of answers"):
        unpack_right(damaged)


def test_only_a_vector_of_bools_is_packed():
    with pytest.raises(ValueError, match=r"right must be a vector of bools.*int64"):
        pack_right([1, 0])
