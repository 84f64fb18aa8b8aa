import itertools

import keras
import numpy as np
import pytest
import reference
from keras import ops
from tools import D, H, gradients, pair_mask, qkv, worst

from diffattn import CustomMultiheadAttention, attend
from diffattn.attention.attend import attend_lean
from diffattn.attention.kernels import sizes
from diffattn.attention.scores import REGISTRY, get_score, score

#: Lags and coefficients, each also with what a head has of them.
OPTIONS = [
    {"lag": 2},
    {"lag": 4, "coefficient": 0.5},
    {"lag": 7},  # longer than the queries are
    {"lag": (1, 3, 2)},
    {"coefficient": 1.0},
    {"coefficient": 0.0},
    {"learned": True},
    {"lag": (2, 1, 1), "learned": True, "coefficient": 2.0},
]
PER_HEAD = np.array([0.3, -1.7, 0.9])


def spelled(name, options):
    return f"{name}({', '.join(f'{k}={v!r}' for k, v in options.items())})"


def expected_scores(q, k, name, options, scale):
    """The family's formula in loops."""
    lags = np.broadcast_to(options.get("lag", 1), H)
    factors = np.broadcast_to(options.get("coefficient", -1.0), H)
    if options.get("learned"):
        factors = PER_HEAD
    terms = q[:, :, :, None] * k[:, :, None]
    for h, i, j in itertools.product(range(H), range(q.shape[2]), range(k.shape[2])):
        if i >= lags[h] and j >= lags[h]:
            past = q[:, h, i - lags[h]] * k[:, h, j - lags[h]]
            terms[:, h, i, j] += factors[h] * past
    return scale * (terms if name == "differential" else terms.sum(-1))


def parameters(options):
    return {"coefficient": PER_HEAD} if options.get("learned") else None


every = pytest.mark.parametrize("options", OPTIONS, ids=str)
both = pytest.mark.parametrize("name", reference.DIFFERENTIAL)


@both
@every
def test_scores_equal_the_formula(name, options):
    q, k, _ = qkv()
    s = score(q, k, spelled(name, options), scale=0.37, parameters=parameters(options))
    assert worst(s, expected_scores(q, k, name, options, 0.37)) < 1e-12


@both
@every
@pytest.mark.parametrize("is_small", [True, False])
def test_lean_output_and_gradients_equal_those_of_the_definition(
    name, options, is_small, monkeypatch
):
    monkeypatch.setattr(sizes, "FEW", 2**30 if is_small else 0)
    kind, mask = spelled(name, options), pair_mask()
    learned = options.get("learned", False)

    def own(x):
        return {"coefficient": x[0]} if learned else None

    def plain(q, k, v, *x):
        return attend(q, k, v, kind, mask=mask, parameters=own(x))[0] ** 2

    def lean(q, k, v, *x):
        return (
            attend_lean(
                q, k, v, kind, scale=None, mask=mask, dropout_mask=None,
                parameters=own(x),
            )
            ** 2
        )  # fmt: skip

    arrays = [*qkv(), *([PER_HEAD] if learned else [])]
    assert worst(lean(*arrays), plain(*arrays)) < 1e-12
    for one, other in zip(
        gradients(lean, *arrays), gradients(plain, *arrays), strict=True
    ):
        assert worst(one, other) < 1e-11


@both
def test_the_gradient_by_a_learned_coefficient_is_that_of_differences(name):
    arrays, kind = qkv(), f"{name}(learned=True)"

    def total(x):
        output, _ = attend(*arrays, kind, parameters={"coefficient": x})
        return ops.sum(output**2)

    (gradient,) = gradients(total, PER_HEAD)
    for h, step in enumerate(1e-6 * np.eye(H)):
        difference = total(PER_HEAD + step) - total(PER_HEAD - step)
        assert abs(gradient[h] - float(difference) / 2e-6) < 1e-7


@both
def test_the_options_of_the_documented_score_are_the_documented_score(name):
    same = get_score(f"{name}(lag=1, coefficient=-1.0, learned=False)")
    assert same == REGISTRY[name]
    assert str(same) == name
    assert same.symmetries == REGISTRY[name].symmetries
    q, k, _ = qkv()
    # As learned it goes another way, and starts there.
    start = score(q, k, f"{name}(learned=True)")
    assert worst(start, reference.score(q, k, name)) < 1e-12


def test_without_a_past_it_is_the_dot_product():
    q, k, _ = qkv()
    expected = reference.score(q, k, "scaled_dot_product", 1.0)
    kind = get_score("differentialSum(coefficient=0)")
    assert worst(score(q, k, kind), expected) < 1e-12
    assert kind.symmetries == REGISTRY["scaled_dot_product"].symmetries
    assert not kind.order_aware


def test_heads_are_shared_among_lags_in_their_order():
    q, k, _ = (np.repeat(x, 2, axis=1)[:, :4] for x in qkv())
    by_group = ops.convert_to_numpy(score(q, k, "differentialSum(lag=(1, 2))"))
    for heads, lag in ((slice(0, 2), 1), (slice(2, 4), 2)):
        alone = score(q[:, heads], k[:, heads], f"differentialSum(lag={lag})")
        assert worst(by_group[:, heads], alone) < 1e-12


@both
def test_a_phrase_that_comes_twice_is_cancelled_or_doubled(name):
    # Where a token and its predecessor come again, both products are equal.
    phrase = np.random.default_rng(0).normal(size=(1, 1, 2, D))
    x = np.concatenate([phrase, phrase], axis=2)
    expected = (phrase[0, 0, 1] ** 2).sum() + (phrase[0, 0, 0] ** 2).sum()
    for coefficient in (-1.0, 1.0):
        s = ops.convert_to_numpy(score(x, x, f"{name}(coefficient={coefficient})"))
        total = s[0, 0, 3, 1].sum()
        own = (phrase[0, 0, 1] ** 2).sum() - (phrase[0, 0, 0] ** 2).sum()
        assert abs(total - (expected if coefficient > 0 else own)) < 1e-12


@both
def test_a_layer_trains_and_keeps_its_coefficients(name, tmp_path):
    inputs = keras.Input((5, 6))
    kind = f"{name}(learned=True, coefficient=0.5, lag=(1, 2))"
    layer = CustomMultiheadAttention(8, 4, attention_type=kind)
    model = keras.Model(inputs, layer(inputs))
    variable = layer.score_parameters["coefficient"]
    assert np.array_equal(variable.numpy(), [0.5] * 4)
    model.compile("sgd", "mse")
    x = np.random.default_rng(0).normal(size=(16, 5, 6))
    model.fit(x, np.ones((16, 5, 8)), verbose=0)
    assert (variable.numpy() != 0.5).all()
    model.save(tmp_path / "model.keras")
    again = keras.models.load_model(tmp_path / "model.keras")
    assert worst(again.predict(x, verbose=0), model.predict(x, verbose=0)) == 0
    assert str(again.layers[1].score) == kind.replace(
        "learned=True, coefficient=0.5, lag=(1, 2)",
        "lag=(1, 2), coefficient=0.5, learned=True",
    )


@both
@pytest.mark.parametrize("lag", [1, 2, (1, 3)])
def test_nothing_leaks_from_the_future_or_from_padding(name, lag):
    layer = CustomMultiheadAttention(8, 2, attention_type=f"{name}(lag={lag})")
    x = np.random.default_rng(0).normal(size=(2, 9, 6)).astype("float32")
    changed = x.copy()
    changed[:, 6:] += 1
    before, after = (layer(z, use_causal_mask=True) for z in (x, changed))
    assert worst(before[:, :6], after[:, :6]) < 1e-6
    assert worst(before, after) > 0.01
    # Padding in front is as if there were nothing: no predecessor, at any lag.
    mask = np.arange(9) >= np.array([[4], [4]])
    padded = layer(x, query_mask=mask)
    assert worst(padded[:, 4:], layer(x[:, 4:])) < 1e-6


def test_a_learned_coefficient_stays_in_float32():
    layer = CustomMultiheadAttention(
        8, 4, attention_type="differentialSum(learned=True)", dtype="mixed_float16"
    )
    seen = []
    kind = type(layer.score)
    by_head = kind.by_head
    try:
        kind.by_head = lambda self, x: seen.append(x.dtype) or by_head(self, x)
        layer(np.ones((1, 3, 6), "float16"))
    finally:
        kind.by_head = by_head
    assert seen == ["float32"]


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        ("differentialSum(lag=0)", "lag must be a positive integer.*lag=0"),
        ("differential(lag=(1, 1.5))", r"lag must be a positive integer.*lag=1\.5"),
        ("differential(lag=())", r"lag must not be empty.*lag=\(\)"),
        ("differentialSum(coefficient='1')", "coefficient must be a finite number"),
        ("differentialSum(learned=2)", "learned must be one of True, False.*learned=2"),
        ("differentialSum(power=2)", "power"),
    ],
)
def test_bad_options_are_named(kind, message):
    with pytest.raises(ValueError, match=message):
        get_score(kind)


def test_lags_that_do_not_fit_the_heads_are_refused():
    layer = CustomMultiheadAttention(8, 4, attention_type="differential(lag=(1, 2, 3))")
    with pytest.raises(ValueError, match=r"lag=\(1, 2, 3\), 4 heads"):
        layer.build((None, 5, 6))


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"weight": np.ones(H)}, "parameter must be one of coefficient.*'weight'"),
        ({"coefficient": np.ones(2)}, r"coefficient must have shape \(3,\)"),
    ],
)
def test_parameters_that_it_does_not_have_are_named(given, message):
    q, k, v = qkv()
    for compute in (score, lambda q, k, *a, **o: attend(q, k, v, *a, **o)):
        with pytest.raises(ValueError, match=message):
            compute(q, k, "differentialSum(learned=True)", parameters=given)
