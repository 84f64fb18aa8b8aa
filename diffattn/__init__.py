"""Six attention scores for Keras, two of them differential, and what each can see.

The names below and the modules, as in ``diffattn.scores.score``, are loaded on first
use, so that ``import diffattn`` and the command line's ``--help`` do not wait for
TensorFlow.

With ``import diffattn``, before or after ``import keras``, `keras.models.load_model`
knows the package's layers: it loads the ``model.keras`` of a run.
"""

from importlib import import_module
from importlib.util import find_spec
from typing import TYPE_CHECKING

from diffattn.registration import register

__version__ = "0.1.0"

#: The six attention types, spelled as everywhere in this project.
ATTENTION_TYPES = (
    "scaled_dot_product",
    "cosine_similarity",
    "l1_norm",
    "l2_norm",
    "differentialSum",
    "differential",
)

if TYPE_CHECKING:
    from diffattn.attention import attend
    from diffattn.config import Config
    from diffattn.data import load_imdb
    from diffattn.layer import CustomMultiheadAttention
    from diffattn.model import build_classifier
    from diffattn.sample import load_sample
    from diffattn.standardization import custom_standardization, make_vectorizer
    from diffattn.trainer import Run, load_run, train

__all__ = [
    "ATTENTION_TYPES",
    "Config",
    "CustomMultiheadAttention",
    "Run",
    "__version__",
    "attend",
    "build_classifier",
    "custom_standardization",
    "load_imdb",
    "load_run",
    "load_sample",
    "make_vectorizer",
    "train",
]

_MODULE_OF = {
    "Config": "config",
    "CustomMultiheadAttention": "layer",
    "Run": "trainer",
    "attend": "attention",
    "build_classifier": "model",
    "custom_standardization": "standardization",
    "load_imdb": "data",
    "load_run": "trainer",
    "load_sample": "sample",
    "make_vectorizer": "standardization",
    "train": "trainer",
}


def __getattr__(name):
    if name in _MODULE_OF:
        return getattr(import_module(f"{__name__}.{_MODULE_OF[name]}"), name)
    if not name.startswith("_") and find_spec(f"{__name__}.{name}") is not None:
        return import_module(f"{__name__}.{name}")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__():
    return __all__


register()
