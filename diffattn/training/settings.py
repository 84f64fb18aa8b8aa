"""Keras's global settings, which a run does not depend on."""

from collections.abc import Iterator
from contextlib import contextmanager

import keras


@contextmanager
def keras_defaults() -> Iterator[None]:
    """Put Keras's global settings at their defaults, and back afterwards.

    What a run's figures depend on is in its `Config`. So it makes no difference
    whether the program, ``keras.json`` or the environment has set another ``floatx``,
    dtype policy or ``epsilon``, or limits epochs and steps.
    """
    config = keras.config
    settings = [
        # The policy first: where there is none yet, asking for it makes one.
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
