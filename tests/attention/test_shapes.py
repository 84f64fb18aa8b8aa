import numpy as np
import pytest

from diffattn.attention.shapes import (
    at_least_float32,
    check_shapes,
    dtype_of_scores,
    floating,
    may_equal,
)


@pytest.mark.parametrize(
    ("given", "computed"),
    [
        (("float16", "float16"), "float32"),
        (("float32", "float64"), "float32"),
        (("float64", "float16"), "float64"),
    ],
)
def test_the_query_decides_the_dtype(given, computed):
    query, key = (np.ones(3, dtype) for dtype in given)
    found = at_least_float32(query=query, key=key)
    assert [str(x.dtype).split("'")[1] for x in found] == [computed] * 2
    assert dtype_of_scores(query) == computed


def test_integers_are_named():
    with pytest.raises(ValueError, match=r"value must be a floating.*dtype int32"):
        floating("value", np.ones(3, "int32"))


@pytest.mark.parametrize(
    ("query", "key", "fits"),
    [
        ((2, 3, 5, 7), (2, 3, 11, 7), True),
        ((2, 3, 5, 7), (2, 3, 11, 8), False),
        ((2, 3, 5, 7), (1, 3, 11, 7), False),
        ((2, 3, 5, 7), (2, 3, 7), False),
    ],
)
def test_shapes_must_fit(query, key, fits):
    if fits:
        check_shapes(np.ones(query), np.ones(key))
    else:
        with pytest.raises(ValueError, match="must have shapes"):
            check_shapes(np.ones(query), np.ones(key))


def test_unknown_lengths_may_be_equal():
    assert may_equal((None, 3), (2, 3))
    assert not may_equal((None, 3), (2, 4))
