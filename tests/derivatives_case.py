"""What every backend differentiates for `test_derivatives`: run as a program.

python tests/derivatives_case.py OUTPUTS.npz ASKED ...

ASKED is what `key` makes of a type, a case and a transformation.
"""

import sys

import keras
import numpy as np
import reference
from keras import ops

from diffattn import ATTENTION_TYPES
from diffattn.attention.attend import attend_lean
from diffattn.attention.kernels import per_feature, sizes

#: Batch, heads, tokens, keys and features of a head.
SHAPES = {
    "few": (2, 2, 3, 5, 4),
    "many": (2, 2, 3, 5, 16),
    "near": (1, 2, 3, 5, 4),
    "series": (1, 2, 5, 41, 2),
}
#: The direction of the slopes, and the other point at which `vmap` differentiates.
DIRECTION = np.array([0.3, -0.5, 0.7])
OTHER = np.array([0.2, 0.1, -0.3])


def cases(attention_type):
    """Few and many terms; both ways of l2_norm and of differential's blocks."""
    more = {"l2_norm": ["near"], "differential": ["series"]}
    return ["few", "many", *more.get(attention_type, [])]


#: What is asked where there are many terms, too: the rest differs in the transformation
#: alone, and takes minutes to compile.
ASKED_OF_MANY = {
    "tensorflow": {
        "forward",
        "forward in a function",
        "forward over reverse",
        "reverse over forward",
        "tape.jacobian",
        "tf.hessians",
        "vectorized_map of the gradient",
    },
    "jax": {"jvp", "grad of jit", "jvp of grad", "hessian", "vmap of grad"},
}


#: What is tried with every change; the rest, every week.
EVERY_TIME = {
    "tensorflow": {
        "forward in a function",
        "forward over reverse",
        "reverse over forward",
        "tape.jacobian",
        "vectorized_map of the gradient",
    },
    "jax": {"grad of jit", "jvp of grad", "hessian", "vmap of grad"},
}
#: Where terms are few, a backend differentiates the formula written down.
EVERY_TIME_OF_FEW = {"forward over reverse", "jvp of grad"}


def is_asked(backend, asked, case):
    """Whether a transformation is tried on a case: all of them where terms are few."""
    of_many = ASKED_OF_MANY.get(backend)
    return case == "few" or of_many is None or asked in of_many


def is_asked_every_time(backend, asked, case):
    """Whether it is tried with every change: all of them on PyTorch, which is fast."""
    if backend not in EVERY_TIME:
        return True
    return asked in (EVERY_TIME_OF_FEW if case == "few" else EVERY_TIME[backend])


def key(attention_type, case, asked):
    """The name under which a result is stored."""
    return f"{attention_type} {case} {asked}"


class Case:
    """Attention whose query, key and value move with a point a of R³.

    The coordinates lie on two grids, so that no difference is 0, where the
    derivative of `l1_norm` jumps.
    """

    def __init__(self, attention_type, name):
        self.attention_type = attention_type
        batch, heads, tokens, keys, dim = SHAPES[name]
        rng = np.random.default_rng(0)
        pairs = batch, heads, tokens, keys
        query, key, value = (
            np.round(rng.normal(size=(batch, heads, n, dim)), 1)
            for n in (tokens, keys, keys)
        )
        key += 0.05
        moves = [0.3 * rng.normal(size=(3, *x.shape)) for x in (query, key, value)]
        self.mask = self.dropout_mask = None
        if name == "few":
            self.mask = rng.random(pairs) < 0.7
            self.mask[0, 1, 2] = False
        if name == "many":
            self.dropout_mask = 2.0 * (rng.random(pairs) < 0.7)
        if name == "near":
            key[:, :, :2] = query[:, :, :2] + 0.25
        if name == "series":
            query, moves[0] = 0.01 * query, 0.01 * moves[0]
        if name in ("near", "series"):
            self.mask = (np.arange(keys) < keys - 1)[None, None, None]
        self.inputs, self.moves = [query, key, value], moves
        self.upstream = rng.normal(size=(batch, heads, tokens, dim))

    def expected(self, a):
        """The output at a point, by the specification."""
        q, k, v = (
            x + np.tensordot(a, move, 1)
            for x, move in zip(self.inputs, self.moves, strict=True)
        )
        output, weights = reference.attend(q, k, v, self.attention_type, mask=self.mask)
        if self.dropout_mask is None:
            return output
        if weights.ndim == 5:
            return (weights * self.dropout_mask[..., None] * v[:, :, None]).sum(3)
        return (weights * self.dropout_mask) @ v

    def output(self, a):
        """The output at a point, as the layer computes it."""
        moved = [
            ops.convert_to_tensor(x)
            + sum(a[n] * ops.convert_to_tensor(move[n]) for n in range(3))
            for x, move in zip(self.inputs, self.moves, strict=True)
        ]
        dropout_mask = self.dropout_mask
        if dropout_mask is not None:
            dropout_mask = ops.convert_to_tensor(dropout_mask)
        return attend_lean(
            *moved,
            self.attention_type,
            scale=None,
            mask=self.mask,
            dropout_mask=dropout_mask,
        )

    def loss(self, a):
        return ops.sum(self.output(a) * ops.convert_to_tensor(self.upstream))

    def features(self, a):
        """The output, summed but for its features."""
        return ops.sum(self.output(a), axis=(0, 1, 2))


def in_tensorflow():
    import tensorflow as tf

    def forward(f, a, w):
        with tf.autodiff.ForwardAccumulator(a, w) as accumulator:
            value = f(a)
        return accumulator.jvp(value)

    def reverse(f, a):
        with tf.GradientTape() as tape:
            tape.watch(a)
            value = f(a)
        return tape.gradient(value, a)

    def jacobian(f, a):
        with tf.GradientTape() as tape:
            tape.watch(a)
            value = f(a)
        return tape.jacobian(value, a)

    def function(f):
        return tf.function(f, autograph=False)

    def late_tangent(c, a, w):
        """Forward mode by the upstream gradient alone; of `loss`, its gradient."""
        with tf.GradientTape() as tape:
            tape.watch(a)
            value = c.output(a)
        upstream = tf.constant(c.upstream)
        with tf.autodiff.ForwardAccumulator(upstream, upstream) as accumulator:
            gradient = tape.gradient(value, a, upstream)
        return accumulator.jvp(gradient)

    return {
        "forward": ("slope", lambda c, a, w: forward(c.output, a, w)),
        "forward about a function": (
            "slope",
            lambda c, a, w: forward(function(c.output), a, w),
        ),
        "forward in a function": (
            "slope",
            lambda c, a, w: function(lambda a: forward(c.output, a, w))(a),
        ),
        "forward through XLA": (
            "slope",
            lambda c, a, w: forward(
                tf.function(c.output, autograph=False, jit_compile=True), a, w
            ),
        ),
        "forward over backward": ("gradient", late_tangent),
        "forward over reverse": (
            "product",
            lambda c, a, w: forward(lambda a: reverse(c.loss, a), a, w),
        ),
        "forward over reverse about a function": (
            "product",
            lambda c, a, w: forward(lambda a: reverse(function(c.loss), a), a, w),
        ),
        "reverse over forward": (
            "product",
            lambda c, a, w: reverse(lambda a: forward(c.loss, a, w), a),
        ),
        "forward over forward": (
            "curvature",
            lambda c, a, w: forward(lambda a: forward(c.loss, a, w), a, w),
        ),
        "tape.jacobian": ("jacobian", lambda c, a, w: jacobian(c.features, a)),
        "jacobian of the gradient": (
            "hessian",
            lambda c, a, w: jacobian(lambda a: reverse(c.loss, a), a),
        ),
        "tf.hessians": (
            "hessian",
            lambda c, a, w: function(lambda a: tf.hessians(c.loss(a), a)[0])(a),
        ),
        "vectorized_map of the gradient": (
            "two gradients",
            lambda c, a, w: tf.vectorized_map(
                lambda a: reverse(c.loss, a), tf.stack([a, tf.constant(OTHER)])
            ),
        ),
    }


def in_jax():
    import jax
    import jax.numpy as jnp

    def two(a):
        return jnp.stack([a, jnp.array(OTHER)])

    return {
        "jvp": ("slope", lambda c, a, w: jax.jvp(c.output, (a,), (w,))[1]),
        "jvp of jit": (
            "slope",
            lambda c, a, w: jax.jvp(jax.jit(c.output), (a,), (w,))[1],
        ),
        "grad of jit": ("gradient", lambda c, a, w: jax.grad(jax.jit(c.loss))(a)),
        "grad of checkpoint": (
            "gradient",
            lambda c, a, w: jax.jit(jax.grad(jax.checkpoint(c.loss)))(a),
        ),
        "jvp of grad": (
            "product",
            lambda c, a, w: jax.jit(lambda a: jax.jvp(jax.grad(c.loss), (a,), (w,))[1])(
                a
            ),
        ),
        "jacrev": ("jacobian", lambda c, a, w: jax.jit(jax.jacrev(c.features))(a)),
        "jacfwd": ("jacobian", lambda c, a, w: jax.jit(jax.jacfwd(c.features))(a)),
        "hessian": ("hessian", lambda c, a, w: jax.jit(jax.hessian(c.loss))(a)),
        "jacrev of jacrev": (
            "hessian",
            lambda c, a, w: jax.jit(jax.jacrev(jax.jacrev(c.loss)))(a),
        ),
        "jacrev of jacfwd": (
            "hessian",
            lambda c, a, w: jax.jit(jax.jacrev(jax.jacfwd(c.loss)))(a),
        ),
        "jacfwd of jacfwd": (
            "hessian",
            lambda c, a, w: jax.jit(jax.jacfwd(jax.jacfwd(c.loss)))(a),
        ),
        "vmap of grad": (
            "two gradients",
            lambda c, a, w: jax.jit(jax.vmap(jax.grad(c.loss)))(two(a)),
        ),
    }


def in_torch():
    import torch
    from torch import func
    from torch.autograd import forward_ad, functional

    def reverse(c, a, w):
        a = a.clone().requires_grad_()
        c.loss(a).backward()
        return a.grad

    def forward(c, a, w):
        with forward_ad.dual_level():
            return forward_ad.unpack_dual(c.output(forward_ad.make_dual(a, w))).tangent

    def forward_over_reverse(c, a, w):
        with forward_ad.dual_level():
            a = forward_ad.make_dual(a.clone().requires_grad_(), w)
            (gradient,) = torch.autograd.grad(c.loss(a), a, create_graph=True)
            return forward_ad.unpack_dual(gradient).tangent

    def forward_over_backward(c, a, w):
        """By the upstream gradient alone; of `loss`, its gradient."""
        a, upstream = a.clone().requires_grad_(), torch.tensor(c.upstream)
        output = c.output(a)
        with forward_ad.dual_level():
            upstream = forward_ad.make_dual(torch.zeros_like(upstream), upstream)
            (gradient,) = torch.autograd.grad(output, a, upstream)
            return forward_ad.unpack_dual(gradient).tangent

    def two(a):
        return torch.stack([a, torch.tensor(OTHER)])

    return {
        "backward": ("gradient", reverse),
        "func.grad": ("gradient", lambda c, a, w: func.grad(c.loss)(a)),
        "func.jvp": ("slope", lambda c, a, w: func.jvp(c.output, (a,), (w,))[1]),
        "func.jvp of grad": (
            "product",
            lambda c, a, w: func.jvp(func.grad(c.loss), (a,), (w,))[1],
        ),
        "func.vmap of grad": (
            "two gradients",
            lambda c, a, w: func.vmap(func.grad(c.loss))(two(a)),
        ),
        "func.jacrev": ("jacobian", lambda c, a, w: func.jacrev(c.features)(a)),
        "func.jacfwd": ("jacobian", lambda c, a, w: func.jacfwd(c.features)(a)),
        "func.hessian": ("hessian", lambda c, a, w: func.hessian(c.loss)(a)),
        "jacrev of jacfwd": (
            "hessian",
            lambda c, a, w: func.jacrev(func.jacfwd(c.loss))(a),
        ),
        "forward_ad": ("slope", forward),
        "forward_ad over reverse": ("product", forward_over_reverse),
        "forward_ad over backward": ("gradient", forward_over_backward),
        "functional.jacobian": (
            "jacobian",
            lambda c, a, w: functional.jacobian(c.features, a, vectorize=True),
        ),
        "functional.hessian": (
            "hessian",
            lambda c, a, w: functional.hessian(c.loss, a, vectorize=True),
        ),
    }


TRANSFORMATIONS = {
    "tensorflow": in_tensorflow,
    "jax": in_jax,
    "torch": in_torch,
}


def main():
    backend = keras.config.backend()
    if backend == "jax":
        import jax

        jax.config.update("jax_enable_x64", True)
    # Blocks of one feature: several of them.
    per_feature.BLOCK = 1
    path, *asked = sys.argv[1:]
    found = {}
    for attention_type in ATTENTION_TYPES:
        for name in cases(attention_type):
            sizes.FEW = 2**30 if name == "few" else 0
            case = Case(attention_type, name)
            a = ops.convert_to_tensor(np.zeros(3))
            w = ops.convert_to_tensor(DIRECTION)
            for of, (_, compute) in TRANSFORMATIONS[backend]().items():
                if key(attention_type, name, of) not in asked:
                    continue
                try:
                    result = ops.convert_to_numpy(compute(case, a, w))
                except Exception as error:  # the test shows it
                    result = f"{type(error).__name__}: {error}"
                found[key(attention_type, name, of)] = result
    np.savez(path, **found)


if __name__ == "__main__":
    main()
