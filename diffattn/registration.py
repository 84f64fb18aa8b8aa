"""Register the package's layers with Keras as soon as Keras is imported.

`keras.models.load_model` looks a layer up by the name under which its module registers
it on import. ``import diffattn`` should be enough for that without loading Keras, so
the modules are imported right after Keras.
"""

import sys
from functools import partial
from importlib import import_module
from importlib.abc import MetaPathFinder

#: The modules that define what a saved model may contain, and the backends they run on.
MODULES = {
    "diffattn.attention.layer": ("tensorflow", "jax", "torch"),
    "diffattn.training.layers": ("tensorflow", "jax", "torch"),
    "diffattn.data.standardization": ("tensorflow",),
}


def register() -> None:
    """Import `MODULES` now, or right after Keras."""
    if "keras" in sys.modules:
        _import_modules()
    else:
        sys.meta_path.insert(0, _AfterKeras())


def _import_modules():
    backend = sys.modules["keras"].config.backend()
    for module, backends in MODULES.items():
        if backend in backends:
            import_module(module)


class _AfterKeras(MetaPathFinder):
    """Lets Keras be imported as usual, then imports `MODULES` and removes itself."""

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
        sys.meta_path.remove(self)
        _import_modules()
