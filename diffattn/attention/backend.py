"""What Keras leaves to the backend, in one place."""

import math
import traceback
from collections.abc import Callable
from contextlib import ExitStack
from functools import cache, partial, wraps
from typing import Any

import keras
from keras import ops


@cache
def compiled(function: Callable, plain: Callable | None = None) -> Callable:
    """Compile the function with XLA where Keras runs on TensorFlow.

    TensorFlow runs one operation after the other and writes each result into
    memory; XLA makes one loop of many. JAX compiles everything with XLA anyway.
    A graph that is exported gets TensorFlow's own operations: other programs know
    nothing of XLA.

    Args:
        function: of tensors (or None), without Python side effects, that returns a
            tensor or a tuple of them.
        plain: the same function for TensorFlow to differentiate, if there is one
            that takes fewer operations; by default the function itself.

    Returns:
        A function with the same arguments and results. Its derivatives are not
        compiled, and are computed only if asked for.
    """
    if keras.config.backend() != "tensorflow":
        return function
    import tensorflow as tf

    run = tf.function(function, jit_compile=True, autograph=False)

    def call(*tensors):
        return (function if exporting() else run)(*tensors)

    return differentiated_as(plain or function, call)


def in_a_graph(function: Callable) -> Callable:
    """Run the function as one graph where TensorFlow runs operation by operation.

    A graph gives memory back as soon as no operation needs it; what Python holds waits
    for Python. What TensorFlow is to differentiate does not pass through here.

    Args:
        function: of tensors (or None), without Python side effects.

    Returns:
        A function with the same arguments and results.
    """
    if keras.config.backend() != "tensorflow":
        return function
    import tensorflow as tf

    run = tf.function(function, autograph=False)

    def call(*tensors):
        return (run if tf.executing_eagerly() else function)(*tensors)

    return call


def exporting() -> bool:
    """Tell whether TensorFlow traces a graph to hand it to another program.

    An exporter asks for a concrete function: `keras.Model.export` in every format,
    `tf.saved_model.save`, the converters to TFLite and ONNX. To run a function, as
    `fit` and `predict` do, is to call it. Only the call stack tells the two apart.
    """
    if keras.config.backend() != "tensorflow":
        return False
    import tensorflow as tf

    return not tf.executing_eagerly() and any(
        "get_concrete_function" in function for _, function in _callers()
    )


#: Modules that export to ONNX and to LiteRT (TFLite).
_CONVERTERS = (
    "keras.src.export.onnx",
    "keras.src.export.litert",
    "tf2onnx",
    "tensorflow.lite",
)


def refuse_to_export_text() -> None:
    """Raise a ValueError if text is exported to ONNX or LiteRT.

    Their runtimes have no operations for it, and the file would not load.
    """
    if any(module.startswith(_CONVERTERS) for module, _ in _callers()):
        raise ValueError(
            "ONNX and LiteRT cannot process text: export the classifier of tokens, "
            "model.layers[2], or the whole model with format='tf_saved_model'."
        )


def _callers():
    """The module and the name of every function that is being called."""
    for frame, _ in traceback.walk_stack(None):
        yield frame.f_globals.get("__name__", ""), frame.f_code.co_name


def differentiated_as(plain: Callable, function: Callable) -> Callable:
    """Compute `function`, but let TensorFlow differentiate `plain` instead.

    TensorFlow cannot differentiate XLA's loops, nor branches and loops in every mode.
    The other backends differentiate the function itself.

    Args:
        plain: function of tensors (or None) that returns a tensor or several.
        function: another way to compute the same.

    Returns:
        A function with the same arguments and results.
    """
    if keras.config.backend() != "tensorflow":
        return function
    import tensorflow as tf

    def call(*tensors):
        tensors = [None if x is None else tf.convert_to_tensor(x) for x in tensors]
        given = [x for x in tensors if x is not None]

        def filled(given):
            given = iter(given)
            return [None if x is None else next(given) for x in tensors]

        if _have_tangents(given):
            return plain(*tensors)

        @tf.custom_gradient
        def differentiable(*given):
            def gradient(*upstream):
                return _gradients(lambda *x: plain(*filled(x)), given, upstream)

            # Else TensorFlow prepares a gradient, which XLA's loops do not allow.
            return function(*filled(map(tf.stop_gradient, given))), gradient

        return differentiable(*_of_this_graph(given))

    return call


def _of_this_graph(tensors):
    """The tensors as TensorFlow's current graph has them, which may be a branch's.

    A gradient of a gradient reaches, and its tape follows, only what belongs to
    the graph that it differentiates.
    """
    import tensorflow as tf

    return [tf.identity(x) for x in tensors]


def _gradients(function, tensors, upstream):
    """The gradients of the function by the tensors, None by those of integers."""
    import tensorflow as tf

    tensors = _of_this_graph(tensors)
    floats = [x for x in tensors if x.dtype.is_floating]
    zero = tf.UnconnectedGradients.ZERO
    if tf.executing_eagerly():
        with tf.GradientTape() as tape:
            tape.watch(floats)
            value = function(*tensors)
        found = tape.gradient(value, floats, upstream, zero)
    else:
        # A tape would record nothing while a forward accumulator differentiates.
        value = function(*tensors)
        found = tf.gradients(value, floats, upstream, unconnected_gradients=zero)
    found = iter(found)
    return [next(found) if x.dtype.is_floating else None for x in tensors]


def _have_tangents(tensors):
    """Whether a `tf.autodiff.ForwardAccumulator` differentiates by the tensors.

    It follows the operations inside of a `tf.custom_gradient` and takes their
    derivatives, not those given (tensorflow/tensorflow#60071).
    """
    from tensorflow.python.eager import forwardprop_util

    return bool(forwardprop_util.pack_tangents(list(tensors)).tangents)


def custom_gradient(plain: Callable) -> Callable[[Callable], Callable]:
    """Give a function a gradient by hand, for the first derivative in reverse mode.

    All other derivatives are those of `plain`: in forward mode, of the gradient
    again, and in PyTorch under a transformation of `torch.func`. They take the
    memory that `plain` takes.

    Args:
        plain: the same function of tensors and constants, as `function`, of
            operations that the backend differentiates any number of times in any
            mode. It returns the value.

    Returns:
        A decorator for a function of tensors, and by name of constants (tensors
        without a gradient, or None), which returns its value and a function from
        the upstream gradient to the gradients by the tensors. What it makes of it
        takes the same arguments and returns the value.
    """
    with_gradient = {
        "tensorflow": _custom_gradient_in_tensorflow,
        "jax": _custom_gradient_in_jax,
        "torch": _custom_gradient_in_torch,
    }[keras.config.backend()]

    def decorate(function):
        differentiable = with_gradient(function, plain)

        @wraps(function)
        def call(*tensors, **constants):
            return differentiable(map(ops.convert_to_tensor, tensors), constants)

        return call

    return decorate


def _custom_gradient_in_tensorflow(function, plain):
    import tensorflow as tf

    def call(tensors, constants):
        tensors = list(tensors)
        if _have_tangents(tensors):
            return plain(*tensors, **constants)

        @tf.custom_gradient
        def differentiable(*tensors):
            if tf.executing_eagerly():
                return _untaped(function, plain, tensors, constants)
            return function(*_of_this_graph(tensors), **constants)

        return differentiable(*tensors)

    return call


def _untaped(function, plain, tensors, constants):
    """Call the function unseen by an eager tape, which keeps all that it sees.

    A tape about its gradient sees that of `plain` instead.
    """
    import tensorflow as tf

    value, by_hand = function(*map(tf.stop_gradient, tensors), **constants)

    def plain_gradient(*given):
        *tensors, upstream = given
        return _gradients(partial(plain, **constants), tensors, [upstream])

    def gradient(upstream):
        differentiable = differentiated_as(
            plain_gradient, lambda *given: by_hand(given[-1])
        )
        return differentiable(*tensors, upstream)

    return value, gradient


def _custom_gradient_in_jax(function, plain):
    """`custom_gradient`; with `jax.custom_vjp` there would be no forward mode.

    The derivative is a linear map L of the tangents t for which L and its transpose
    are computed in two ways, L in forward mode and Lᵀ by hand. JAX lets one say so of
    the solution of linear equations: (t, L t) solves u = t, y − L u = 0.
    """
    import jax
    import jax.numpy as jnp

    @jax.custom_jvp
    def differentiable(tensors, constants):
        return function(*tensors, **constants)[0]

    @differentiable.defjvp
    def derivative(primals, tangents):
        (tensors, constants), (tangents, _) = primals, tangents
        value, gradient = function(*tensors, **constants)

        def forward(tangents):
            of_tensors = partial(plain, **constants)
            return jax.jvp(of_tensors, tensors, tangents)[1]

        def equations(unknown):
            u, y = unknown
            y = y - forward(u)
            # JAX transposes only what depends on the tensors in all its parts.
            nothing = _nothing(*tensors)
            return tuple(_plus(x, _nothing(x) * nothing) for x in u), _plus(
                y, _nothing(y) * nothing
            )

        def solve(_, right):
            t, zero = right
            return t, zero + forward(t)

        def transpose_solve(_, right):
            t, upstream = right
            return tuple(map(jnp.add, t, gradient(upstream))), upstream

        # For the same reason each part of the right side is linear in all tangents.
        nothing = _nothing(*tangents)
        right = (
            tuple(_plus(t, nothing) for t in tangents),
            _plus(jnp.zeros_like(value), nothing),
        )
        _, tangent = jax.lax.custom_linear_solve(
            equations, right, solve, transpose_solve
        )
        return value, tangent

    return lambda tensors, constants: differentiable(tuple(tensors), constants)


def _nothing(*tensors):
    """No entry of any of the tensors, which for JAX still depends on each."""
    return sum(ops.cast(ops.ravel(x)[:0], tensors[0].dtype) for x in tensors)


def _plus(x, nothing):
    """`x`, which for JAX depends on `nothing` too; XLA leaves this out."""
    zeros = ops.pad(ops.cast(nothing, x.dtype), [[0, math.prod(x.shape)]])
    return x + ops.reshape(zeros, x.shape)


def _custom_gradient_in_torch(function, plain):
    """`custom_gradient`; Keras's own would take what the gradient uses for constant."""
    import torch

    class Differentiable(torch.autograd.Function):
        @staticmethod
        def forward(ctx, constants, *tensors):
            ctx.save_for_backward(*tensors)
            ctx.constants = constants
            value, ctx.gradient = function(*tensors, **constants)
            return value

        @staticmethod
        @without_autocast
        def backward(ctx, upstream):
            differentiated_again = torch.is_grad_enabled()
            batched = torch._C._functorch.is_legacy_batchedtensor(upstream)
            if not (differentiated_again or batched):
                return None, *ctx.gradient(upstream)
            tensors = ctx.saved_tensors
            needed = ctx.needs_input_grad[1:]
            with torch.enable_grad():
                value = plain(*tensors, **ctx.constants)
            found = torch.autograd.grad(
                value,
                [x for x, needs in zip(tensors, needed, strict=True) if needs],
                upstream,
                create_graph=differentiated_again,
                materialize_grads=True,
            )
            found = iter(found)
            return None, *[next(found) if needs else None for needs in needed]

    def call(tensors, constants):
        tensors = list(tensors)
        # `torch.func` and forward mode know no function with such a gradient.
        transformed = torch._C._are_functorch_transforms_active() or any(
            torch.autograd.forward_ad.unpack_dual(x).tangent is not None
            for x in tensors
        )
        if transformed:
            return plain(*tensors, **constants)
        return Differentiable.apply(constants, *tensors)

    return call


def without_autocast(function: Callable) -> Callable:
    """Compute in the dtypes of the tensors given, also under PyTorch's autocast.

    It would take half precision for every matrix product, those of scores too.

    Args:
        function: of tensors among other arguments.

    Returns:
        The same function, outside of any `torch.autocast`.
    """
    if keras.config.backend() != "torch":
        return function
    import torch

    @wraps(function)
    def call(*args, **kwargs):
        with ExitStack() as stack:
            for x in (*args, *kwargs.values()):
                if torch.is_tensor(x) and torch.amp.is_autocast_available(
                    x.device.type
                ):
                    stack.enter_context(torch.autocast(x.device.type, enabled=False))
            return function(*args, **kwargs)

    return call


def divide_no_nan(x: Any, y: Any) -> Any:
    """Compute x / y, and 0 where y = 0.

    `keras.ops.divide_no_nan` makes float32 of float64 in PyTorch (Keras 3.15.1).
    """
    if keras.config.backend() != "torch":
        return ops.divide_no_nan(x, y)
    return ops.where(y == 0, 0, x / y)


def map_in_turn(function: Callable, xs: tuple, shape: tuple) -> Any:
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


def scan_in_turn(function: Callable, carried: Any, xs: tuple) -> tuple[Any, Any]:
    """Go through entries one after the other, on TensorFlow, carrying something on.

    `keras.ops.scan` lets several entries run at once, each with memory of its own.

    Args:
        function: from what is carried and the tensors of an entry to what is carried
            on, tensors of the same shapes, and the entry's result.
        carried: what the first entry gets, a structure of tensors.
        xs: tuple of tensors of shapes (N, …); the results have the last one's dtype.

    Returns:
        What the last entry carries on, and the results, one tensor of shape (N, …).
    """
    import tensorflow as tf

    number = ops.shape(xs[0])[0]
    results = tf.TensorArray(xs[-1].dtype, size=number)

    def step(n, carried, results):
        carried, result = function(carried, [x[n] for x in xs])
        return n + 1, carried, results.write(n, result)

    _, carried, results = tf.while_loop(
        lambda n, *_: n < number,
        step,
        (0, carried, results),
        parallel_iterations=1,
    )
    return carried, results.stack()
