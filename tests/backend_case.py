"""What every backend computes for `test_backends`: run as a program, one backend each.

python tests/backend_case.py INPUTS.npz OUTPUTS.npz
"""

import sys

import keras
import numpy as np
from keras import ops

from diffattn import ATTENTION_TYPES, CustomMultiheadAttention, distances

#: Tokens enough for the series of `differential`, in a number that no chunk divides.
BATCH, TOKENS, FEATURES, EMBED_DIM, HEADS = 2, 53, 5, 6, 2
TOLD_APART = {"few": 2**16, "many": 0}


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


def value_and_gradient(layer, x, mask, upstream):
    """The layer's output and the gradient of its sum with `upstream` by x."""
    backend = keras.config.backend()
    if backend == "tensorflow":
        import tensorflow as tf

        x = tf.constant(x)
        with tf.GradientTape() as tape:
            tape.watch(x)
            output = layer(x, query_mask=mask)
            total = ops.sum(output * upstream)
        return output, tape.gradient(total, x)
    if backend == "jax":
        import jax

        def total(x):
            output = layer(x, query_mask=mask)
            return ops.sum(output * upstream), output

        gradient, output = jax.jit(jax.grad(total, has_aux=True))(x)
        return output, gradient
    import torch

    x = torch.tensor(x, requires_grad=True)
    mask = None if mask is None else ops.convert_to_tensor(mask)
    output = layer(x, query_mask=mask)
    ops.sum(output * ops.convert_to_tensor(upstream)).backward()
    return output.detach(), x.grad


def main():
    given = dict(np.load(sys.argv[1]))
    weights = [given[f"weight{n}"] for n in range(8)]
    found = {}
    for attention_type in ATTENTION_TYPES:
        layer = CustomMultiheadAttention(
            EMBED_DIM, HEADS, attention_type=attention_type
        )
        layer.build(given["x"].shape)
        layer.set_weights(weights)
        for size, few in TOLD_APART.items():
            distances.FEW = few
            for masked in (False, True):
                mask = given["mask"] if masked else None
                output, gradient = value_and_gradient(
                    layer, given["x"], mask, given["upstream"]
                )
                name = f"{attention_type} {size} {'masked' if masked else 'all'}"
                found[f"{name} output"] = ops.convert_to_numpy(output)
                found[f"{name} gradient"] = ops.convert_to_numpy(gradient)
    np.savez(sys.argv[2], **found)


if __name__ == "__main__":
    main()
