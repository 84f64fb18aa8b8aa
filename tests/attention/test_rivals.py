import math

import keras
import numpy as np
import pytest
from tools import D, H, gradients, qkv, worst

from diffattn import ATTENTION_TYPES, CustomMultiheadAttention, attend
from diffattn.attention.attend import attend_lean
from diffattn.attention.registry import SYMMETRIES
from diffattn.attention.scores import REGISTRY, get_score, score
from diffattn.attention.symmetries import change_of_weights

RIVALS = [name for name in REGISTRY if name not in ATTENTION_TYPES]
#: Even, as rotary needs it.
EVEN = 8


def own(name, dim=EVEN, seed=5):
    rng = np.random.default_rng(seed)
    shapes = REGISTRY[name].parameters(H, dim)
    return {key: rng.normal(size=shape.shape) for key, shape in shapes.items()}


def even_qkv(tokens=5, keys=11):
    rng = np.random.default_rng(0)
    return [rng.normal(size=(2, H, n, EVEN)) for n in (tokens, keys, keys)]


def shifted(x):
    return np.concatenate([np.zeros_like(x[:, :, :1]), x[:, :, :-1]], axis=2)


def products(q, k):
    return np.einsum("bhtd,bhsd->bhts", q, k)


def test_these_are_the_rivals():
    assert RIVALS == ["relative_bias", "rotary", "smeared_keys", "multi_token"]


def test_relative_bias_adds_a_bias_for_each_bucket():
    q, k, _ = even_qkv(tokens=5, keys=200)
    bias = own("relative_bias")["bias"]
    s = score(q, k, "relative_bias", parameters={"bias": bias})
    expected = products(q, k) / math.sqrt(EVEN)
    for i in range(5):
        for j in range(200):
            bucket = bucket_of(j - i)
            expected[:, :, i, j] += bias[:, bucket]
    assert worst(s, expected) < 1e-12


def bucket_of(distance):
    """T5's buckets: 32 of them, up to a distance of 128."""
    n = abs(distance)
    if n >= 8:
        # The logarithm's exact powers of two must not be rounded down.
        n = min(15, 8 + math.floor(math.log2(n / 8) / math.log2(16) * 8 + 1e-9))
    return n + (16 if distance > 0 else 0)


def test_the_buckets_are_those_of_t5():
    distances = np.arange(-300, 301, dtype="int32")
    found = np.asarray(REGISTRY["relative_bias"].bucket(distances))
    assert found.tolist() == [bucket_of(n) for n in distances]
    assert set(found) == set(range(32)) - {16}  # 0 is not ahead


def test_rotary_turns_pairs_of_features_as_complex_numbers():
    q, k, _ = even_qkv()
    s = score(q, k, "rotary")
    theta = 10_000.0 ** (-2 * np.arange(EVEN // 2) / EVEN)

    def turned(x):
        angles = np.arange(x.shape[2])[:, None] * theta
        return (x[..., : EVEN // 2] + 1j * x[..., EVEN // 2 :]) * np.exp(1j * angles)

    expected = np.einsum("bhtd,bhsd->bhts", turned(q), turned(k).conj()).real
    assert worst(s, expected / math.sqrt(EVEN)) < 1e-12


def test_rotary_depends_on_the_distance_alone():
    x = np.broadcast_to(np.random.default_rng(0).normal(size=EVEN), (1, 1, 9, EVEN))
    s = np.asarray(score(x, x[..., ::-1].copy(), "rotary"))[0, 0]
    for n in range(-8, 9):
        assert np.ptp(np.diagonal(s, n)) < 1e-12
    assert np.ptp(s) > 0.1


def test_smeared_keys_are_mixed_with_those_before():
    q, k, _ = even_qkv()
    alpha = own("smeared_keys")["alpha"]
    share = (1 / (1 + np.exp(-alpha)))[None, :, None, None]
    expected = products(q, share * k + (1 - share) * shifted(k)) / math.sqrt(EVEN)
    s = score(q, k, "smeared_keys", parameters={"alpha": alpha})
    assert worst(s, expected) < 1e-12


def test_multi_token_is_a_convolution_of_the_scores():
    q, k, _ = even_qkv()
    kernel = own("multi_token")["kernel"]
    dot = np.pad(products(q, k), ((0, 0), (0, 0), (1, 0), (1, 0)))
    expected = np.zeros(dot[:, :, 1:, 1:].shape)
    for a in (0, 1):
        for b in (0, 1):
            part = dot[:, :, 1 - a : 6 - a, 1 - b : 12 - b]
            expected += kernel[:, a, b][None, :, None, None] * part
    s = score(q, k, "multi_token", scale=1.0, parameters={"kernel": kernel})
    assert worst(s, expected) < 1e-12


def test_multi_token_contains_the_differential_sum():
    q, k, _ = even_qkv()
    kernel = np.broadcast_to([[1.0, 0.0], [0.0, -1.0]], (H, 2, 2))
    s = score(q, k, "multi_token", scale=1.0, parameters={"kernel": kernel})
    assert worst(s, score(q, k, "differentialSum")) < 1e-12


def test_relative_bias_and_multi_token_start_as_the_dot_product():
    q, k, _ = even_qkv()
    dot = score(q, k, "scaled_dot_product")
    for name in ("relative_bias", "multi_token"):
        assert worst(score(q, k, name), dot) < 1e-12


@pytest.mark.parametrize("symmetry", SYMMETRIES)
@pytest.mark.parametrize("name", RIVALS)
def test_symmetries_hold_where_declared_and_nowhere_else(name, symmetry):
    change = change_of_weights(name, symmetry, dim=EVEN)
    if symmetry in REGISTRY[name].symmetries:
        assert change < 1e-12
    else:
        assert change > 1e-3


@pytest.mark.parametrize("name", RIVALS)
def test_the_lean_way_and_its_gradients_are_those_of_the_definition(name):
    values = own(name)
    names, arrays = [*values], [*even_qkv(), *values.values()]

    def plain(q, k, v, *x):
        given = dict(zip(names, x, strict=True))
        return attend(q, k, v, name, parameters=given)[0] ** 2

    def lean(q, k, v, *x):
        given = dict(zip(names, x, strict=True))
        output = attend_lean(
            q, k, v, name, scale=None, mask=None, dropout_mask=None, parameters=given
        )
        return output**2

    for one, other in zip(
        gradients(lean, *arrays), gradients(plain, *arrays), strict=True
    ):
        assert worst(one, other) < 1e-11


@pytest.mark.parametrize("name", RIVALS)
def test_a_layer_trains_what_they_learn_and_is_loaded_again(name, tmp_path):
    inputs = keras.Input((5, 6))
    layer = CustomMultiheadAttention(8, 2, attention_type=name)
    model = keras.Model(inputs, layer(inputs))
    before = {key: x.numpy() for key, x in layer.score_parameters.items()}
    model.compile("sgd", "mse")
    x = np.random.default_rng(0).normal(size=(16, 5, 6))
    model.fit(x, np.ones((16, 5, 8)), verbose=0)
    for key, value in layer.score_parameters.items():
        assert worst(value, before[key]) > 0
    model.save(tmp_path / "model.keras")
    again = keras.models.load_model(tmp_path / "model.keras")
    assert worst(again.predict(x, verbose=0), model.predict(x, verbose=0)) == 0


@pytest.mark.parametrize("name", RIVALS)
def test_each_says_what_it_is(name):
    text = type(REGISTRY[name]).__doc__
    assert "scale · " in text
    assert "arXiv:" in text


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        ("relative_bias(buckets=30)", "buckets must be a multiple of 4.*buckets=30"),
        ("relative_bias(max_distance=8)", "max_distance must be an integer of at lea"),
        ("rotary(base=0.5)", "base must be a finite number, at least 1.*base=0.5"),
    ],
)
def test_bad_options_are_named(kind, message):
    with pytest.raises(ValueError, match=message):
        get_score(kind)


def test_rotary_refuses_an_odd_number_of_features():
    q, k, _ = qkv()
    with pytest.raises(ValueError, match=f"rotary needs an even.*Received: {D}"):
        score(q, k, "rotary")
