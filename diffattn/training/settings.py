"""Make runs independent of Keras's global settings."""

from collections.abc import Iterator
from contextlib import contextmanager

import keras


@contextmanager
def keras_defaults() -> Iterator[None]:
    """Set Keras's global settings to their defaults, and restore them afterwards.

    A run's results depend on its `Config` alone. They must not change because the
    program, ``keras.json`` or the environment sets another ``floatx``, dtype policy or
    ``epsilon``, or limits epochs and steps.
    """
    config = keras.config
    settings = [
        # The policy first: reading it makes one from floatx if there is none yet.
        (config.set_dtype_policy, config.dtype_policy(), "float32"),
        (config.set_floatx, config.floatx(), "float32"),
        (config.set_epsilon, config.epsilon(), 1e-7),
        (config.set_max_epochs, config.max_epochs(), None),
        (config.set_max_steps_per_epoch, config.max_steps_per_epoch(), None),
    ]
    for change, _, default in settings:
        change(default)
    try:
        yield
    finally:
        for change, before, _ in settings:
            change(before)
