"""What Keras leaves to the backend, in one place."""

from functools import cache

import keras
from keras import ops


@cache
def compiled(function):
    """The function through XLA where Keras runs on TensorFlow, else as it is.

    TensorFlow runs one operation after the other and writes each result into
    memory; XLA makes one loop of many. JAX compiles everything with XLA anyway.

    Args:
        function: of tensors (or None), without Python side effects.

    Returns:
        A function with the same arguments and results, for use where gradients
        are given by hand: none flows through it.
    """
    if keras.config.backend() != "tensorflow":
        return function
    import tensorflow as tf

    run = tf.function(function, jit_compile=True, autograph=False)

    def without_gradient(*tensors):
        # Else TensorFlow prepares one, which XLA's loops do not allow.
        return run(*(None if x is None else tf.stop_gradient(x) for x in tensors))

    return without_gradient


def custom_gradient(function):
    """`keras.ops.custom_gradient` for a gradient that takes the upstream one alone.

    The backends hand it over by position or by name, with other things or without.

    Args:
        function: of tensors, which returns its value and a function from the
            upstream gradient to the gradients by the tensors.

    Returns:
        A function of the same tensors that returns the value.
    """

    @ops.custom_gradient
    def differentiable(*tensors):
        value, gradient = function(*tensors)

        def backward(*args, upstream=None):
            return gradient(args[0] if upstream is None else upstream)

        return value, backward

    return differentiable


def map_in_turn(function, xs):
    """`keras.ops.map`, one entry after the other.

    TensorFlow would run several at once, each of which needs its own memory.
    """
    if keras.config.backend() != "tensorflow":
        return ops.map(function, xs)
    import tensorflow as tf

    signature = tf.TensorSpec(None, xs[-1].dtype)
    return tf.map_fn(function, xs, fn_output_signature=signature, parallel_iterations=1)
