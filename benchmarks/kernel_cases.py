"""Attention alone, on JAX and PyTorch: ours, and the fused one that they have.

A case is ``kernel BACKEND ours|fused TYPE``: output and gradients for given queries,
keys and values. `differentialSum` is compared with a fused dot product of size 2d.
"""

import os

import numpy as np

from benchmarks.sizes import HEADS


def make_step(name, batch, tokens, embed_dim, spread):
    _, backend, whose, attention_type = name.split()
    os.environ["KERAS_BACKEND"] = backend
    # For both, so that what importing takes does not count as one's memory.
    from diffattn.attention.attend import attend_lean

    rng = np.random.default_rng(0)
    size = embed_dim // HEADS
    q, k, v, g = (
        rng.normal(0, spread or 1, (batch, HEADS, tokens, size)).astype("float32")
        for _ in range(4)
    )
    if whose == "fused" and attention_type == "differentialSum":
        q, k = (np.concatenate([x, x], axis=-1) for x in (q, k))

    def ours(q, k, v):
        return attend_lean(
            q, k, v, attention_type, scale=None, mask=None, dropout_mask=None
        )

    make = {"jax": _in_jax, "torch": _in_torch}[backend]
    return make(ours if whose == "ours" else None, q, k, v, g)


def _in_jax(ours, q, k, v, g):
    import jax
    from jax import numpy as jnp

    def fused(q, k, v):
        wide = jnp.pad(v, [(0, 0)] * 3 + [(0, q.shape[-1] - v.shape[-1])])
        q, k, wide = (x.swapaxes(1, 2) for x in (q, k, wide))
        output = jax.nn.dot_product_attention(q, k, wide)
        return output.swapaxes(1, 2)[..., : v.shape[-1]]

    def loss(q, k, v):
        return ((ours or fused)(q, k, v) * g).sum()

    step = jax.jit(jax.grad(loss, (0, 1, 2)))
    return lambda: jax.block_until_ready(step(q, k, v))


def _in_torch(ours, q, k, v, g):
    import torch
    from torch.nn import functional

    q, k, v, g = map(torch.from_numpy, (q, k, v, g))
    leaves = [x.requires_grad_() for x in (q, k, v)]

    def step():
        for x in leaves:
            x.grad = None
        attend = ours or functional.scaled_dot_product_attention
        attend(*leaves).backward(g)

    return step
