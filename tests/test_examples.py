"""Every example in a docstring is run, and gives what it says."""

import subprocess
import sys
from pathlib import Path

import pytest

import diffattn

pytestmark = pytest.mark.slow

ROOT = Path(diffattn.__file__).parents[1]

#: Run in a folder of its own, since `train` saves a run.
RUN = """
import doctest, sys
from importlib import import_module

attempted = 0
for name in sys.argv[1:]:
    results = doctest.testmod(import_module(name), raise_on_error=True)
    attempted += results.attempted
print(attempted)
"""


def modules_with_examples():
    """The modules of the package that have a prompt in a docstring."""
    for path in sorted((ROOT / "diffattn").rglob("*.py")):
        if ">>> " in path.read_text(encoding="utf-8"):
            yield ".".join(path.relative_to(ROOT).with_suffix("").parts)


@pytest.mark.parametrize("backend", ["tensorflow", "jax"])
def test_examples_run(backend, tmp_path, monkeypatch):
    modules = [*modules_with_examples()]
    assert {"diffattn.attention.layer", "diffattn.training.run"} <= {*modules}
    if backend == "jax":  # on which nothing reads text
        modules.remove("diffattn.training.run")
    monkeypatch.setenv("KERAS_BACKEND", backend)
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    run = subprocess.run(
        [sys.executable, "-c", RUN, *modules],
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert run.returncode == 0, run.stderr
    assert int(run.stdout.split()[-1]) >= len(modules)
