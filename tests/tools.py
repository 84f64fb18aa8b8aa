"""Functions and data that several test modules use."""

import functools
import os
import subprocess
import sys
from contextlib import contextmanager
from importlib.util import find_spec, module_from_spec, spec_from_file_location
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from keras import ops

# A different prime for every dimension, so that a misplaced axis cannot go unnoticed.
B, H, T, S, D = 2, 3, 5, 11, 7


#: An environment whose text is ASCII, not UTF-8.
ASCII = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}


def answer(program, *arguments, **environment):
    """Run a program in a process of its own, and return what it prints, as words."""
    process = subprocess.run(
        [sys.executable, "-c", program, *map(str, arguments)],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
    )
    assert process.returncode == 0, process.stderr
    return process.stdout.split()


def load_script(path):
    """Import a script that is in no package, as a module."""
    spec = spec_from_file_location(path.stem, path)
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def weekly_unless(every_time, cases):
    """Tuples of arguments as parameters, weekly alone unless `every_time` of them."""
    return [
        pytest.param(*case, marks=() if every_time(*case) else pytest.mark.weekly)
        for case in cases
    ]


def weekly_but(names, *every_time):
    """The names as parameters, all but these tried weekly alone."""
    return weekly_unless(lambda name: name in every_time, ((name,) for name in names))


BACKENDS = ("tensorflow", "jax", "torch")


def run(program, *arguments, **variables):
    """Run a program of this folder in a process of its own."""
    folder = Path(__file__).parent
    path = os.pathsep.join([str(folder.parent), str(folder)])
    process = subprocess.run(
        [sys.executable, folder / program, *arguments],
        env={**os.environ, "PYTHONPATH": path, **variables},
        capture_output=True,
        text=True,
    )
    assert process.returncode == 0, process.stderr
    return process.stdout


@contextmanager
def full_disk(most):
    """Let the system itself refuse to write files of more than `most` bytes."""
    resource = pytest.importorskip("resource")
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (most, limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)


def selected(request):
    """The parameters of the selected tests of a fixture's module, a dict for each."""
    return [
        item.callspec.params
        for item in request.session.items
        # A chapter is no function of a module.
        if getattr(item, "module", None) is request.module and hasattr(item, "callspec")
    ]


def finder(program, request, folder, asked):
    """A function of a backend: what a program of this folder finds there.

    It runs there once, when first needed, and computes what the selected tests of the
    module need: the keys `asked(backend, parameters)` of each.
    """

    @functools.cache
    def find(backend):
        if find_spec(backend) is None:
            pytest.skip(f"{backend} is not installed")
        path = folder / f"{backend}.npz"
        keys = [key for test in selected(request) for key in asked(backend, test)]
        run(program, path, *keys, KERAS_BACKEND=backend)
        return dict(np.load(path))

    return find


def qkv(seed=0, tokens=T, keys=S, dtype="float64"):
    """Draw query, key and value from a standard normal distribution, heads split."""
    rng = np.random.default_rng(seed)
    shapes = (B, H, tokens, D), (B, H, keys, D), (B, H, keys, D)
    return [rng.normal(size=shape).astype(dtype) for shape in shapes]


def pair_mask(seed=1, tokens=T, keys=S):
    """Draw a random mask (B, H, T, S) with one row that permits nothing."""
    mask = np.random.default_rng(seed).random((B, H, tokens, keys)) < 0.5
    mask[1, 2, 3] = False
    return mask


def gradients(function, *arrays):
    """Compute the gradients of the sum of `function` by each array, in NumPy."""
    variables = [tf.Variable(x) for x in arrays]
    with tf.GradientTape() as tape:
        total = ops.sum(function(*[tf.convert_to_tensor(x) for x in variables]))
    return [g.numpy() for g in tape.gradient(total, variables)]


def worst(a, b):
    """Return the largest absolute difference; the shapes must agree."""
    a, b = np.asarray(a), np.asarray(b)
    assert a.shape == b.shape
    return np.max(np.abs(a.astype("float64") - b.astype("float64")))
