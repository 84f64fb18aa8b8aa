"""Makes the package's layers known to Keras, without importing them or Keras.

`keras.models.load_model` finds a layer by its registered name, which its module gives
it on import. Until then, something that imports the module bears the name.
"""

import sys
from functools import partial
from importlib import import_module
from importlib.abc import MetaPathFinder

#: The layers' modules.
LAYERS = {
    "CustomMultiheadAttention": "layer",
    "MeanOverTokens": "model",
    "PositionalEncoding": "model",
    "TokenEmbedding": "model",
}


def register():
    """Register the package's layers and its function as soon as Keras is imported."""
    if "keras" in sys.modules:
        _register(sys.modules["keras"])
    else:
        sys.meta_path.insert(0, _KerasFinder())


class _KerasFinder(MetaPathFinder):
    """Registers after Keras has been imported, and is gone."""

    def find_spec(self, name, path, target=None):
        if name != "keras":
            return None
        others = [finder for finder in sys.meta_path if finder is not self]
        specs = (finder.find_spec(name, path, target) for finder in others)
        spec = next((spec for spec in specs if spec is not None), None)
        if spec is not None:
            spec.loader.exec_module = partial(self._import, spec.loader.exec_module)
        return spec

    def _import(self, exec_module, keras):
        exec_module(keras)
        _register(keras)
        sys.meta_path.remove(self)


def _register(keras):
    names = keras.saving.get_custom_objects()
    for name, module in LAYERS.items():
        # The layer itself, where its module has been imported.
        names.setdefault(f"diffattn>{name}", _Deferred(module, name))
    if "diffattn>custom_standardization" not in names:
        keras.saving.register_keras_serializable("diffattn")(custom_standardization)


class _Deferred:
    """Stands for a layer until Keras makes one from its configuration."""

    def __init__(self, module, name):
        self.module, self.name = module, name

    def from_config(self, config):
        layer = getattr(import_module(f"diffattn.{self.module}"), self.name)
        return layer.from_config(config)


def custom_standardization(text):
    """Call `diffattn.custom_standardization`, in a model that Keras has loaded."""
    module = import_module("diffattn.standardization")
    return module.custom_standardization(text)
