import pytest
import reference

from diffattn import ATTENTION_TYPES
from diffattn.attention.scores import (
    REGISTRY,
    Score,
    register,
)


def test_the_six_names_come_first_in_the_registry():
    assert tuple(REGISTRY)[:6] == ATTENTION_TYPES == tuple(reference.SIX)


@pytest.mark.parametrize("attention_type", ATTENTION_TYPES)
def test_every_score_says_what_it_is(attention_type):
    text = type(REGISTRY[attention_type]).__doc__
    assert "scale · " in text
    assert "Source: " in text


def test_the_registry_refuses_a_second_entry_and_an_unknown_symmetry():
    class Second(Score):
        name = "l2_norm"

    class Seventh(Score):
        name = "seventh"
        symmetries = frozenset({"mirror"})

    with pytest.raises(ValueError, match="'l2_norm' is registered already"):
        register(Second)
    with pytest.raises(ValueError, match="seventh: unknown symmetries"):
        register(Seventh)
    assert "seventh" not in REGISTRY
