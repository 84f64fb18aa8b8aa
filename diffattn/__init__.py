"""Six attention scores for Keras, two of them differential, and what each can see.

The public names are listed in ``__init__.pyi``. They and the modules, as in
``diffattn.scores.score``, are loaded on first use, so that ``import diffattn`` and the
command line's ``--help`` do not wait for TensorFlow.

With ``import diffattn``, before or after ``import keras``, `keras.models.load_model`
knows the package's layers: it loads the ``model.keras`` of a run.
"""

import ast
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

from diffattn.registration import register

__version__ = "0.2.0"


def _read_public_names():
    """Read from the stub which module each public name comes from."""
    stub = Path(__file__).with_suffix(".pyi").read_text(encoding="utf-8")
    return {
        alias.name: node.module
        for node in ast.parse(stub).body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }


_MODULES = _read_public_names()
__all__ = [*sorted(_MODULES), "__version__"]


def __getattr__(name):
    if name in _MODULES:
        return getattr(import_module(_MODULES[name]), name)
    if not name.startswith("_") and find_spec(f"{__name__}.{name}") is not None:
        return import_module(f"{__name__}.{name}")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__():
    return __all__


register()
