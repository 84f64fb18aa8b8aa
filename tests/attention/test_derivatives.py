"""Every derivative is right in every backend, not the first in reverse mode alone.

The truth is finite differences of the specification in NumPy.
"""

import importlib.util
import itertools

import numpy as np
import pytest
from derivatives_case import DIRECTION, OTHER, Case, cases
from tools import run

from diffattn import ATTENTION_TYPES

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
def found(tmp_path_factory):
    """What each backend found, computed once."""
    folder = tmp_path_factory.mktemp("derivatives")
    results = {}

    def of(backend):
        if importlib.util.find_spec(backend) is None:
            pytest.skip(f"{backend} is not installed")
        if backend not in results:
            path = folder / f"{backend}.npz"
            run("derivatives_case.py", path, KERAS_BACKEND=backend)
            results[backend] = dict(np.load(path))
        return results[backend]

    return of


@pytest.mark.parametrize(
    ("attention_type", "case"),
    [(name, case) for name in ATTENTION_TYPES for case in cases(name)],
)
@pytest.mark.parametrize(
    ("backend", "asked"),
    [(backend, asked) for backend, of in ASKED.items() for asked in of],
)
def test_derivatives_equal_finite_differences(
    backend, asked, attention_type, case, found, truth
):
    result = found(backend)[f"{attention_type} {case} {asked}"]
    assert result.dtype == "float64", result
    expected = truth(attention_type, case)[ASKED[backend][asked]]
    assert result.shape == expected.shape
    error = 1e-7 * max(1, np.abs(expected).max())
    assert np.abs(result - expected).max() < error
