"""Makes the package's layers known to Keras as soon as Keras is there.

`keras.models.load_model` finds a layer by the name that it has registered, which it
does when its module is imported. This imports those modules right after Keras, so that
``import diffattn`` does, and need not wait for Keras itself.
"""

import sys
from functools import partial
from importlib import import_module
from importlib.abc import MetaPathFinder

#: The modules with what a saved model may contain, by the backends that have it.
MODULES = {
    "diffattn.attention.layer": ("tensorflow", "jax", "torch"),
    "diffattn.training.layers": ("tensorflow", "jax", "torch"),
    "diffattn.data.standardization": ("tensorflow",),
}


def register() -> None:
    """Import the modules in `MODULES` now, or right after Keras."""
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
    """Has Keras imported as ever, then the modules, and goes."""

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
