"""What holds for any input: drawn at random by Hypothesis, and shrunk where it fails.

`make campaigns` draws hundreds of inputs for each property and type, the other commands
a few.
"""

from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import keras
import numpy as np
import pytest
import reference
import tensorflow as tf
from hypothesis import given, note, settings
from hypothesis import strategies as st
from tools import gradients, worst

from diffattn import ATTENTION_TYPES, CustomMultiheadAttention, attend
from diffattn.attention.attend import attend_lean
from diffattn.attention.kernels import blocks, per_feature, sizes

pytestmark = [
    pytest.mark.campaign,
    pytest.mark.slow,
    pytest.mark.parametrize("attention_type", ATTENTION_TYPES),
]


@dataclass(frozen=True)
class Case:
    """Query, key and value, which pairs are permitted, and the path that is forced."""

    query: np.ndarray
    key: np.ndarray
    value: np.ndarray
    mask: np.ndarray | None
    path: str

    def of(self, part):
        """The same for a part of the batch."""
        mask = None if self.mask is None else self.mask[part]
        return Case(self.query[part], self.key[part], self.value[part], mask, self.path)


@st.composite
def cases(draw, dtypes=("float32", "float64"), queries=None):
    """Draw a `Case` of any small shape, with inputs from 1e-6 to 1e4."""
    batch, heads, features = draw(st.sampled_from([(1, 1, 1), (2, 3, 2), (3, 1, 4)]))
    keys = draw(st.sampled_from([1, 2, 5]))
    queries = draw(st.sampled_from([1, 3, 5])) if queries is None else keys
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    size = 10.0 ** draw(st.integers(-6, 4))
    dtype = draw(st.sampled_from(dtypes))
    # Whole numbers make ties and zeros, which differences of random numbers have not.
    whole = draw(st.booleans())

    def inputs(tokens):
        drawn = rng.normal(size=(batch, heads, tokens, features))
        return ((np.round(drawn) if whole else drawn) * size).astype(dtype)

    permitted = draw(st.sampled_from([None, 0.0, 0.3, 0.9]))
    shape = (batch, heads, queries, keys)
    mask = None if permitted is None else rng.random(shape) < permitted
    path = draw(st.sampled_from(["few terms", "many terms", "blocks"]))
    return Case(inputs(queries), inputs(keys), inputs(keys), mask, path)


@contextmanager
def forced(path):
    """Take the path of many terms, or of blocks, however small the input is."""
    limits = ((sizes, "FEW", 0), (per_feature, "BLOCK", 7))
    limits += ((blocks, "MANY", 1), (blocks, "BLOCK", 7)) * (path == "blocks")
    with pytest.MonkeyPatch.context() as patch:
        for module, name, limit in limits * (path != "few terms"):
            patch.setattr(module, name, limit)
        yield


def lean(case, attention_type):
    """The output, as the layer computes it where nobody asks for the weights."""
    return attend_lean(
        *(case.query, case.key, case.value, attention_type),
        scale=None,
        mask=case.mask,
        dropout_mask=None,
    )


@given(case=cases(dtypes=("float64",)))
def test_both_ways_are_the_specification(attention_type, case):
    expected, weights = reference.attend(
        case.query, case.key, case.value, attention_type, mask=case.mask
    )
    output, found_weights = attend(
        case.query, case.key, case.value, attention_type, mask=case.mask
    )
    with forced(case.path):
        found_lean = lean(case, attention_type)
    # A score is as large as the square of the inputs, and rounded to 52 bits.
    largest = max(1.0, np.abs(case.query).max(), np.abs(case.key).max())
    rounding = 1e-14 * largest**2
    note(f"rounding of a score: {rounding}")
    size = np.abs(case.value).max()
    assert worst(found_weights, weights) <= 10 * rounding
    assert worst(output, expected) <= 100 * rounding * size
    assert worst(found_lean, expected) <= 100 * rounding * size


@given(case=cases())
def test_weights_sum_to_1_and_forbidden_ones_are_0(attention_type, case):
    mask = np.ones(1, bool) if case.mask is None else case.mask
    output, weights = attend(
        case.query, case.key, case.value, attention_type, mask=case.mask
    )
    weights = weights.numpy()
    assert np.isfinite(output).all()
    permitted = np.broadcast_to(mask, weights.shape[:4])
    assert (weights[~permitted] == 0).all()
    assert (weights >= 0).all()
    sums = weights.sum(axis=3)
    rows = permitted.any(axis=3)
    assert np.allclose(sums[rows], 1, rtol=0, atol=1e-5)
    assert (sums[~rows] == 0).all()


@given(case=cases())
def test_gradients_are_finite(attention_type, case):
    def output(query, key, value):
        return lean(Case(query, key, value, case.mask, case.path), attention_type)

    with forced(case.path):
        found = gradients(output, case.query, case.key, case.value)
    assert all(np.isfinite(g).all() for g in found)


@given(case=cases(dtypes=("float64",), queries="as keys"), data=st.data())
def test_nothing_of_the_future_has_a_part(attention_type, case, data):
    tokens = case.query.shape[2]
    first = data.draw(st.integers(0, tokens - 1), label="first changed token")
    causal = np.tril(np.ones((tokens, tokens), bool))
    changed = []
    for x in (case.query, case.key, case.value):
        other = x.copy()
        other[:, :, first:] = -3 * x[:, :, first:][:, :, ::-1] + 1
        changed.append(other)
    results = []
    with forced(case.path):
        for q, k, v in ((case.query, case.key, case.value), changed):
            results.append(lean(Case(q, k, v, causal, case.path), attention_type))
    before, after = (np.asarray(output)[:, :, :first] for output in results)
    # Sums over all keys may be taken about another middle, so rounding may differ.
    largest = max(1.0, *(np.abs(x).max() for x in (*changed, case.query)))
    assert np.allclose(before, after, rtol=0, atol=1e-12 * largest**3)


@given(case=cases(dtypes=("float64",)))
def test_a_batch_entry_does_not_know_its_neighbours(attention_type, case):
    with forced(case.path):
        together = np.asarray(lean(case, attention_type))
        apart = [
            lean(case.of(slice(n, n + 1)), attention_type)
            for n in range(len(case.query))
        ]
    largest = max(1.0, np.abs(case.query).max(), np.abs(case.value).max())
    assert worst(together, np.concatenate(apart)) <= 1e-12 * largest**3


# Saving and tracing take a second: a tenth of the inputs.
@settings(max_examples=max(3, settings.default.max_examples // 10))
@given(case=cases(dtypes=("float32",)), heads=st.sampled_from([1, 2]))
@pytest.mark.filterwarnings("ignore:.*a query of one token counts as the first")
def test_a_layer_answers_the_same_eager_in_a_function_and_loaded(
    attention_type, case, heads
):
    layer = CustomMultiheadAttention(8, heads, attention_type=attention_type)
    x, y = case.query[:, 0], case.value[:, 0]
    inputs = [keras.Input(array.shape[1:]) for array in (x, y)]
    model = keras.Model(inputs, layer(*inputs))
    with forced(case.path):
        eager = model([x, y])
        compiled = tf.function(model)([x, y])
        with TemporaryDirectory() as folder:
            path = Path(folder) / "model.keras"
            model.save(path)
            loaded = keras.models.load_model(path)([x, y])
    assert np.isfinite(eager).all()
    assert worst(loaded, eager) == 0
    # Where large scores nearly tie, their last bit decides which key is taken.
    size = max(np.abs(x).max(), np.abs(y).max())
    assert np.isfinite(compiled).all()
    if size <= 10:
        assert worst(compiled, eager) <= 1e-4 * size
