# The public names and the modules they come from; `__init__.py` reads them from here.
from diffattn.attention.attend import attend as attend
from diffattn.attention.layer import (
    CustomMultiheadAttention as CustomMultiheadAttention,
)
from diffattn.data.imdb import load_imdb as load_imdb
from diffattn.data.sample import load_sample as load_sample
from diffattn.data.standardization import (
    custom_standardization as custom_standardization,
)
from diffattn.data.standardization import make_vectorizer as make_vectorizer
from diffattn.names import ATTENTION_TYPES as ATTENTION_TYPES
from diffattn.training.config import Config as Config
from diffattn.training.model import build_classifier as build_classifier
from diffattn.training.run import Run as Run
from diffattn.training.run import load_run as load_run
from diffattn.training.run import train as train

__version__: str
