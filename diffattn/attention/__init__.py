"""The attention mechanism: scores, softmax, layer. Needs Keras and NumPy alone."""

# First of all: right after Keras, the layer registers with it (see `registration.py`),
# and needs all modules of this package for that.
import keras  # noqa: F401

# Its scores have names once it is imported.
from diffattn.attention import rivals  # noqa: F401
