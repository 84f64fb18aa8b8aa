"""What Keras leaves to the backend, in one place."""

from functools import cache

import keras
from keras import ops


@cache
def compiled(function, written_down=None):
    """The function through XLA where Keras runs on TensorFlow, else as it is.

    TensorFlow runs one operation after the other and writes each result into
    memory; XLA makes one loop of many. JAX compiles everything with XLA anyway.

    Args:
        function: of tensors (or None), without Python side effects, that returns a
            tensor or a tuple of them.
        written_down: the same function for TensorFlow to differentiate, if there is
            one that takes fewer operations; by default the function itself.

    Returns:
        A function with the same arguments and results. Its gradient is not compiled
        and computed only if asked for, which a gradient by hand does not do: it is
        there for the second derivatives.
    """
    if keras.config.backend() != "tensorflow":
        return function
    import tensorflow as tf

    run = tf.function(function, jit_compile=True, autograph=False)

    def call(*tensors):
        flowing = [x is not None and x.dtype.is_floating for x in tensors]

        def filled(floats):
            floats = iter(floats)
            pairs = zip(tensors, flowing, strict=True)
            return [next(floats) if flows else x for x, flows in pairs]

        @tf.custom_gradient
        def differentiable(*floats):
            def gradient(*upstream):
                here = _of_this_graph(floats)
                with tf.GradientTape() as tape:
                    tape.watch(here)
                    found = (written_down or function)(*filled(here))
                zero = tf.UnconnectedGradients.ZERO
                return tape.gradient(found, here, upstream, zero)

            # Else TensorFlow prepares a gradient, which XLA's loops do not allow.
            return run(*filled(tf.stop_gradient(x) for x in floats)), gradient

        pairs = zip(tensors, flowing, strict=True)
        return differentiable(*_of_this_graph(x for x, flows in pairs if flows))

    return call


def _of_this_graph(tensors):
    """The tensors as TensorFlow's current graph has them, which may be a branch's.

    A gradient of a gradient reaches, and its tape follows, only what belongs to
    the graph that it differentiates.
    """
    if keras.config.backend() != "tensorflow":
        return tensors
    import tensorflow as tf

    return [tf.identity(x) for x in tensors]


def custom_gradient(function):
    """`keras.ops.custom_gradient` for a gradient that takes the upstream one alone.

    The backends hand it over by position or by name, with other things or without.
    The gradient can be differentiated again, as far as its own operations can.

    Args:
        function: of tensors, which returns its value and a function from the
            upstream gradient to the gradients by the tensors.

    Returns:
        A function of the same tensors that returns the value.
    """
    if keras.config.backend() == "torch":
        return _custom_gradient_in_torch(function)

    @ops.custom_gradient
    def differentiable(*tensors):
        value, gradient = function(*_of_this_graph(tensors))

        def backward(*args, upstream=None):
            return gradient(args[0] if upstream is None else upstream)

        return value, backward

    return differentiable


def _custom_gradient_in_torch(function):
    """`custom_gradient`; Keras's own would take what the gradient uses for constant."""
    import torch

    class Differentiable(torch.autograd.Function):
        @staticmethod
        def forward(ctx, *tensors):
            ctx.save_for_backward(*tensors)
            value, ctx.gradient = function(*tensors)
            return value

        @staticmethod
        def backward(ctx, upstream):
            gradient = ctx.gradient
            if torch.is_grad_enabled():
                # Somebody differentiates again; the forward pass recorded nothing.
                _, gradient = function(*ctx.saved_tensors)
            return gradient(upstream)

    return lambda *tensors: Differentiable.apply(*map(ops.convert_to_tensor, tensors))


def map_in_turn(function, xs, shape):
    """`keras.ops.map`, one entry after the other.

    TensorFlow would run several at once, each of which needs its own memory.

    Args:
        function: from a tuple of tensors to a tensor, of the last one's dtype.
        xs: tuple of tensors of shapes (N, …).
        shape: the shape of what the function returns, for TensorFlow's N = 0.

    Returns:
        A tensor of shape (N, *shape).
    """
    if keras.config.backend() != "tensorflow":
        return ops.map(function, xs)
    import tensorflow as tf

    signature = tf.TensorSpec(None, xs[-1].dtype)

    def mapped():
        return tf.map_fn(
            function, xs, fn_output_signature=signature, parallel_iterations=1
        )

    def nothing():
        return tf.zeros((0, *shape), signature.dtype)

    return ops.cond(tf.shape(xs[0])[0] > 0, mapped, nothing)
