import math

import numpy as np
import pytest

from diffattn import checks


@pytest.mark.parametrize("value", [1, 7, np.int64(3)])
def test_integers_within_their_bounds_pass(value):
    checks.check_int("n", value, 1, 8)


@pytest.mark.parametrize("value", [0, 8, True, 2.0, "3", None])
def test_other_values_are_named_with_their_bounds(value):
    expected = f"n must be a positive integer, below 8. Received: n={value!r}"
    with pytest.raises(ValueError, match="positive") as error:
        checks.check_int("n", value, 1, 8)
    assert str(error.value) == expected


@pytest.mark.parametrize("value", [0, 0.5, np.float32(0.25)])
def test_numbers_within_their_bounds_pass(value):
    checks.check_number("x", value, 0, 1)


@pytest.mark.parametrize("value", [-0.1, 1, math.nan, math.inf, True, "0", None])
def test_numbers_outside_are_named(value):
    with pytest.raises(ValueError, match=r"at least 0 and below 1\. Received: x="):
        checks.check_number("x", value, 0, 1)


def test_a_choice_is_one_of_a_list_even_where_it_cannot_be_hashed():
    checks.check_choice("kind", "a", {"a": 1})
    with pytest.raises(ValueError, match=r"one of a, b. Received: kind=\['a'\]"):
        checks.check_choice("kind", ["a"], ("a", "b"))


@pytest.mark.parametrize(
    ("check", "good", "bad"),
    [
        (checks.check_scale, [None, 0.0, -2], [math.nan, "1"]),
        (checks.check_seed, [None, 0, 2**31 - 1], [-1, 2**31, 0.5]),
        (checks.check_validation_split, [0.5, 0.01], [0, 1, -0.1]),
    ],
)
def test_what_may_be_left_out(check, good, bad):
    for value in good:
        check(value)
    for value in bad:
        with pytest.raises(ValueError, match="Received: "):
            check(value)


def test_heads_share_the_features_evenly():
    checks.check_heads(12, 4)
    with pytest.raises(ValueError, match="embed_dim=12, num_heads=5"):
        checks.check_heads(12, 5)
