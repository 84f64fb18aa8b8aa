"""What every backend computes for `test_backends`: run as a program, one backend each.

python tests/backend_case.py OUTPUTS.npz ASKED ...

ASKED is what `key` makes of a type, a size and whether tokens are masked.
"""

import sys

import keras
import numpy as np
from keras import ops

from diffattn import ATTENTION_TYPES, CustomMultiheadAttention
from diffattn.attention.kernels import sizes

#: Tokens enough for the series of `differential`, in a number that no chunk divides.
BATCH, TOKENS, FEATURES, EMBED_DIM, HEADS = 2, 53, 5, 8, 2
TOLD_APART = {"few": 2**16, "many": 0}
RESULTS = "output", "gradient", "second"
#: Relatives of the six, whose own parameters are as they start.
RELATIVES = (
    "differentialSum(lag=(1, 2), coefficient=0.5, learned=True)",
    "differential(lag=(2, 1), coefficient=0.5, learned=True)",
    "relative_bias",
    "rotary",
    "smeared_keys",
    "multi_token",
)


def key(attention_type, size, masked):
    """The name under which results are stored."""
    return f"{attention_type} {size} {'masked' if masked else 'all'}"


def inputs():
    """The layer's input, its mask, the upstream gradient and its weights."""
    rng = np.random.default_rng(0)
    shapes = [(FEATURES, EMBED_DIM), (EMBED_DIM,)] * 3
    shapes += [(EMBED_DIM, EMBED_DIM), (EMBED_DIM,)]
    mask = np.arange(TOKENS) < np.array([[TOKENS], [41]])
    return {
        "x": rng.normal(size=(BATCH, TOKENS, FEATURES)).astype("float32"),
        "mask": mask,
        "upstream": rng.normal(size=(BATCH, TOKENS, EMBED_DIM)).astype("float32"),
        **{
            f"weight{n}": 0.3 * rng.normal(size=shape).astype("float32")
            for n, shape in enumerate(shapes)
        },
    }


def value_and_gradients(layer, x, mask, upstream):
    """The layer's output, the gradient of its sum with `upstream` by x, and that
    of this gradient's squared length."""
    find = {
        "tensorflow": in_tensorflow,
        "jax": in_jax,
        "torch": in_torch,
    }[keras.config.backend()]
    return find(lambda x: layer(x, query_mask=mask), x, upstream)


def in_tensorflow(layer, x, upstream):
    import tensorflow as tf

    x = tf.constant(x)
    with tf.GradientTape() as outer:
        outer.watch(x)
        with tf.GradientTape() as tape:
            tape.watch(x)
            output = layer(x)
            total = ops.sum(output * upstream)
        gradient = tape.gradient(total, x)
        length = ops.sum(ops.square(gradient))
    return output, gradient, outer.gradient(length, x)


def in_jax(layer, x, upstream):
    import jax

    def total(x):
        output = layer(x)
        return ops.sum(output * upstream), output

    def length(x):
        gradient, output = jax.grad(total, has_aux=True)(x)
        return ops.sum(ops.square(gradient)), (output, gradient)

    second, (output, gradient) = jax.jit(jax.grad(length, has_aux=True))(x)
    return output, gradient, second


def in_torch(layer, x, upstream):
    import torch

    x = torch.tensor(x, requires_grad=True)
    output = layer(x)
    total = ops.sum(output * ops.convert_to_tensor(upstream))
    (gradient,) = torch.autograd.grad(total, x, create_graph=True)
    (second,) = torch.autograd.grad(ops.sum(ops.square(gradient)), x)
    return output.detach(), gradient.detach(), second


def main():
    path, *asked = sys.argv[1:]
    given = inputs()
    weights = [given[f"weight{n}"] for n in range(8)]
    found = {}
    for attention_type in (*ATTENTION_TYPES, *RELATIVES):
        layer = CustomMultiheadAttention(
            EMBED_DIM, HEADS, attention_type=attention_type
        )
        layer.build(given["x"].shape)
        layer.set_weights([*layer.get_weights()[:-8], *weights])
        for size, few in TOLD_APART.items():
            sizes.FEW = few
            for masked in (False, True):
                name = key(attention_type, size, masked)
                if name not in asked:
                    continue
                mask = ops.convert_to_tensor(given["mask"]) if masked else None
                results = value_and_gradients(
                    layer, given["x"], mask, given["upstream"]
                )
                for of, x in zip(RESULTS, results, strict=True):
                    found[f"{name} {of}"] = ops.convert_to_numpy(x)
    np.savez(path, **found)


if __name__ == "__main__":
    main()
