"""Six attention scores for Keras, two of them differential, and what each can see.

The names below and the modules, as in ``diffattn.attention.scores.score``, are loaded on first
use, so that ``import diffattn`` and the command line's ``--help`` do not wait for
TensorFlow.

Keras loads a saved model once it knows the layers and functions in it, and it does
when they are imported: ``import diffattn.training.fit`` makes all of them known to
`keras.models.load_model`. `load_run` needs nothing of that.
"""

from importlib import import_module
from importlib.util import find_spec
from typing import TYPE_CHECKING

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
    from diffattn.attention.attend import attend
    from diffattn.attention.layer import CustomMultiheadAttention
    from diffattn.data.imdb import load_imdb
    from diffattn.data.sample import load_sample
    from diffattn.data.standardization import custom_standardization, make_vectorizer
    from diffattn.training.config import Config
    from diffattn.training.fit import Run, load_run, train
    from diffattn.training.model import build_classifier

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
    "Config": "training.config",
    "CustomMultiheadAttention": "attention.layer",
    "Run": "training.fit",
    "attend": "attention.attend",
    "build_classifier": "training.model",
    "custom_standardization": "data.standardization",
    "load_imdb": "data.imdb",
    "load_run": "training.fit",
    "load_sample": "data.sample",
    "make_vectorizer": "data.standardization",
    "train": "training.fit",
}


def __getattr__(name):
    if name in _MODULE_OF:
        return getattr(import_module(f"{__name__}.{_MODULE_OF[name]}"), name)
    if not name.startswith("_") and find_spec(f"{__name__}.{name}") is not None:
        return import_module(f"{__name__}.{name}")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__():
    return __all__
