import numpy as np
import pytest
import reference
from decoding_case import KINDS

from diffattn import ATTENTION_TYPES
from diffattn.attention.attend import attend_lean
from diffattn.attention.scores import (
    REGISTRY,
    Score,
    get_score,
    register,
    score,
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


@pytest.mark.parametrize("kind", KINDS)
def test_a_score_looks_as_far_back_as_it_declares(kind):
    """Another token n places before the last changes the last one's scores or not."""
    rng = np.random.default_rng(0)
    q, k = rng.normal(size=(2, 1, 2, 16, 4))
    own = get_score(kind).parameters(2, 4)
    parameters = {name: rng.normal(size=p.shape) for name, p in own.items()}

    def scores_of_the_last(q, k):
        s = np.asarray(score(q, k, kind, parameters=parameters))
        return s[:, :, -1], s[:, :, :, -1]

    def sees(n):
        changed = [z.copy() for z in (q, k)]
        for z in changed:
            z[:, :, 15 - n] += 1
        by_query = scores_of_the_last(changed[0], k)[0]
        by_key = scores_of_the_last(q, changed[1])[1]
        before = scores_of_the_last(q, k)
        return not (np.allclose(by_query, before[0]) and np.allclose(by_key, before[1]))

    assert max((n for n in range(1, 15) if sees(n)), default=0) == (
        get_score(kind).look_back()
    )


@pytest.mark.parametrize("inherited", ["l2_norm", "differentialSum", "differential"])
def test_a_score_with_another_formula_attends_by_it(inherited):
    """The parent's way around its own scores would miss what the formula says."""

    class Doubled(type(REGISTRY[inherited])):
        def __call__(self, query, key, scale, **options):
            return 2 * super().__call__(query, key, scale, **options)

    rng = np.random.default_rng(0)
    q, k, v = rng.normal(size=(3, 1, 2, 7, 4))
    scale = REGISTRY[inherited].default_scale(4)
    expected, _ = reference.attend(q, k, v, inherited, 2 * scale)
    options = {"scale": None, "mask": None, "dropout_mask": None}
    output = attend_lean(q, k, v, Doubled(), **options)
    assert np.allclose(output, expected, atol=1e-6)


@pytest.mark.parametrize("inside", ["-" * 5000 + "1", "-" * 10**5 + "1", "(" * 10**4])
def test_options_nested_too_deep_are_refused(inside):
    with pytest.raises(ValueError, match=r"^attention_type='l1_norm\(a=.* be read: "):
        get_score(f"l1_norm(a={inside})")
