"""Every derivative is right in every backend, not the first in reverse mode alone.

The truth is finite differences of the specification in NumPy.
"""

import importlib.util
import itertools
import os
import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf
from derivatives_case import (
    DIRECTION,
    OTHER,
    Case,
    cases,
    is_asked,
    is_asked_every_time,
    key,
)
from tools import finder, gradients, weekly_unless

from diffattn import ATTENTION_TYPES
from diffattn.attention.attend import attend_lean
from diffattn.attention.kernels import sizes

pytestmark = pytest.mark.slow

#: What each backend is asked for, and what it should be (see `truth`).
ASKED = {
    "tensorflow": {
        "forward": "slope",
        "forward about a function": "slope",
        "forward in a function": "slope",
        "forward through XLA": "slope",
        "forward over backward": "gradient",
        "forward over reverse": "product",
        "forward over reverse about a function": "product",
        "reverse over forward": "product",
        "forward over forward": "curvature",
        "tape.jacobian": "jacobian",
        "jacobian of the gradient": "hessian",
        "tf.hessians": "hessian",
        "vectorized_map of the gradient": "two gradients",
    },
    "jax": {
        "jvp": "slope",
        "jvp of jit": "slope",
        "grad of jit": "gradient",
        "grad of checkpoint": "gradient",
        "jvp of grad": "product",
        "jacrev": "jacobian",
        "jacfwd": "jacobian",
        "hessian": "hessian",
        "jacrev of jacrev": "hessian",
        "jacrev of jacfwd": "hessian",
        "jacfwd of jacfwd": "hessian",
        "vmap of grad": "two gradients",
    },
    "torch": {
        "backward": "gradient",
        "func.grad": "gradient",
        "func.jvp": "slope",
        "func.jvp of grad": "product",
        "func.vmap of grad": "two gradients",
        "func.jacrev": "jacobian",
        "func.jacfwd": "jacobian",
        "func.hessian": "hessian",
        "jacrev of jacfwd": "hessian",
        "forward_ad": "slope",
        "forward_ad over reverse": "product",
        "forward_ad over backward": "gradient",
        "functional.jacobian": "jacobian",
        "functional.hessian": "hessian",
    },
}
#: Weights of f(−2h), f(−h), f(h) and f(2h), times 12h, in f'(0).
STENCIL = {-2: 1, -1: -8, 1: 8, 2: -1}


@pytest.fixture(scope="module")
def truth():
    known = {}

    def of(attention_type, name):
        if (attention_type, name) not in known:
            known[attention_type, name] = differences(Case(attention_type, name))
        return known[attention_type, name]

    return of


def differences(case):
    """All derivatives at 0 by finite differences, to about nine digits."""

    def jacobian(a, step=1e-3):
        columns = [
            sum(
                weight * case.expected(a + n * step * e)
                for n, weight in STENCIL.items()
            )
            for e in np.eye(3)
        ]
        return np.stack(columns, axis=-1) / (12 * step)

    def loss(a):
        return (case.upstream * case.expected(a)).sum()

    def gradient(a):
        return np.tensordot(case.upstream, jacobian(a), 4)

    here, step = np.zeros(3), 2e-3
    hessian = np.zeros((3, 3))
    for (i, d), (j, e) in itertools.product(enumerate(np.eye(3)), repeat=2):
        hessian[i, j] = (
            sum(
                STENCIL[m] * STENCIL[n] * loss(step * (m * d + n * e))
                for m, n in itertools.product(STENCIL, repeat=2)
            )
            / (12 * step) ** 2
        )
    return {
        "slope": jacobian(here) @ DIRECTION,
        "gradient": gradient(here),
        "two gradients": np.stack([gradient(here), gradient(OTHER)]),
        "jacobian": jacobian(here).sum((0, 1, 2)),
        "hessian": hessian,
        "product": hessian @ DIRECTION,
        "curvature": DIRECTION @ hessian @ DIRECTION,
    }


@pytest.fixture(scope="module")
def found(request, tmp_path_factory):
    """What each backend finds."""

    def asked(backend, test):
        if test.get("backend") == backend:
            yield key(test["attention_type"], test["case"], test["asked"])

    folder = tmp_path_factory.mktemp("derivatives")
    return finder("derivatives_case.py", request, folder, asked)


@pytest.mark.parametrize(
    ("backend", "asked", "attention_type", "case"),
    weekly_unless(
        lambda backend, asked, _, case: is_asked_every_time(backend, asked, case),
        (
            (backend, asked, name, case)
            for backend, of_backend in ASKED.items()
            for asked in of_backend
            for name in ATTENTION_TYPES
            for case in cases(name)
            if is_asked(backend, asked, case)
        ),
    ),
)
def test_derivatives_equal_finite_differences(
    backend, asked, attention_type, case, found, truth
):
    result = found(backend)[key(attention_type, case, asked)]
    assert result.dtype == "float64", result
    expected = truth(attention_type, case)[ASKED[backend][asked]]
    assert result.shape == expected.shape
    error = 1e-7 * max(1, np.abs(expected).max())
    assert np.abs(result - expected).max() < error


@pytest.mark.parametrize("few", [0, 2**30])
@pytest.mark.parametrize("attention_type", ATTENTION_TYPES)
def test_forward_mode_is_reverse_mode_transposed_at_distance_0_and_vector_0(
    attention_type, few, monkeypatch
):
    """⟨u, J w⟩ = ⟨Jᵀ u, w⟩ where padding puts queries and keys."""
    monkeypatch.setattr(sizes, "FEW", few)
    rng = np.random.default_rng(0)
    q, k, v, *directions, u = rng.normal(size=(7, 2, 2, 5, 4))
    k[:, :, :2], q[0, 0, 0], k[1, 1, 2] = q[:, :, :2], 0, 0
    inputs, directions = ([tf.constant(x) for x in y] for y in ((q, k, v), directions))

    def output(*inputs):
        return attend_lean(
            *inputs, attention_type, scale=None, mask=None, dropout_mask=None
        )

    with tf.autodiff.ForwardAccumulator(inputs, directions) as accumulator:
        value = output(*inputs)
    slope = np.sum(u * accumulator.jvp(value))
    found = gradients(lambda *x: u * output(*x), q, k, v)
    expected = sum(np.sum(g * w) for g, w in zip(found, directions, strict=True))
    assert abs(slope - expected) < 1e-12


AUTOCAST = """
import numpy as np, torch
from diffattn import ATTENTION_TYPES, attend
from diffattn.attention.attend import attend_lean
from diffattn.attention.kernels import sizes

rng = np.random.default_rng(0)
inputs = 10 * rng.normal(size=(4, 2, 2, 47, 6)).astype("float32")

def both(attention_type, *, half):
    *x, upstream = (torch.tensor(x) for x in inputs)
    for y in x:
        y.requires_grad_()
    with torch.autocast("cpu", dtype=torch.bfloat16, enabled=half):
        output = attend_lean(*x, attention_type, scale=None, mask=None,
                             dropout_mask=None)
        definition = attend(*x, attention_type)
        total = torch.sum(output * upstream)
    total.backward()
    return output, *definition, *(y.grad for y in x)

for few in (0, 2**30):
    sizes.FEW = few
    for attention_type in ATTENTION_TYPES:
        pairs = zip(both(attention_type, half=True), both(attention_type, half=False))
        for found, expected in pairs:
            assert found.dtype == expected.dtype == torch.float32
            assert torch.equal(found, expected), attention_type
"""


def test_autocast_in_pytorch_leaves_scores_in_float32():
    if importlib.util.find_spec("torch") is None:
        pytest.skip("torch is not installed")
    answer = subprocess.run(
        [sys.executable, "-c", AUTOCAST],
        env={**os.environ, "KERAS_BACKEND": "torch"},
        capture_output=True,
        text=True,
    )
    assert answer.returncode == 0, answer.stderr
