"""What every backend computes for `test_masks`: run as a program, one backend each.

python tests/masks_case.py OUTPUTS.npz ASKED ...

ASKED is what `key` makes of a type, a size, a call and whether weights are returned.
"""

import sys

import keras
import numpy as np
from keras import ops

from diffattn import ATTENTION_TYPES, CustomMultiheadAttention
from diffattn.attention.kernels import sizes

#: Enough tokens for the series of `differential`. There are as many keys as queries:
#: each new shape is compiled anew, which is what takes the time here.
BATCH, TOKENS, HEADS, HEAD_DIM = 2, 47, 2, 3
EMBED_DIM = HEADS * HEAD_DIM
#: The features of query, value and key: straight to the heads, and not.
FEATURES = {"query": 2, "value": 5, "key": 5}
CALLS = "self", "cross"
SIZES = {"few": 2**30, "many": 0}
#: With PyTorch, Keras multiplies matrices in float32, whatever they are.
DTYPES = {"tensorflow": "float64", "jax": "float64", "torch": "float32"}
#: Where there are many terms, weights come the same way as where there are few.
WAYS = [("few", False), ("few", True), ("many", False)]


def key(attention_type, size, call, with_weights):
    """The name under which results are stored."""
    return f"{attention_type} {size} {call} {with_weights}"


def between(*bounds):
    """True from the first to the second bound, one pair a batch entry."""
    n = np.arange(TOKENS)
    return np.stack([(start <= n) & (n < stop) for start, stop in bounds])


#: Which tokens count, padding before and behind.
REAL = {
    "self": {"query": between((0, 44), (3, 45))},
    "cross": {
        "query": between((2, 44), (0, 45)),
        "value": between((0, 44), (4, 47)),
        "key": between((3, 47), (0, 43)),
    },
}


def inputs(call):
    """Finite inputs of the layer, by name."""
    # With this seed, no feature of a query is near a key's, where l1_norm has a kink.
    rng = np.random.default_rng(16)
    return {
        name: rng.normal(size=(*real.shape, FEATURES[name]))
        for name, real in REAL[call].items()
    }


def spoiled(call):
    """The inputs with NaN and infinity in all that does not count."""
    bad = np.array([np.nan, np.inf, -np.inf])
    given = inputs(call)
    for name, x in given.items():
        hidden = ~REAL[call][name]
        x[hidden] = np.resize(bad, (hidden.sum(), x.shape[-1]))
    return given


def weights(call):
    """Kernel and bias of query, key, value and output."""
    rng = np.random.default_rng(1)
    features = {**dict.fromkeys(FEATURES, FEATURES["query"])}
    if call == "cross":
        features = FEATURES
    sizes = [features[name] for name in ("query", "key", "value")] + [EMBED_DIM]
    return [
        0.5 * rng.normal(size=shape)
        for size in sizes
        for shape in ((size, EMBED_DIM), (EMBED_DIM,))
    ]


def upstream(*shape):
    """What the results are weighted with before they are summed."""
    return np.random.default_rng(2).normal(size=shape)


def weighted_sum(x):
    return ops.sum(x * ops.convert_to_tensor(upstream(*x.shape)))


def of_layer(call, attention_type, with_weights):
    """Output and weights, and the gradients of their sum by inputs and weights."""
    given, real = spoiled(call), REAL[call]
    layer = CustomMultiheadAttention(
        EMBED_DIM,
        HEADS,
        attention_type=attention_type,
        dtype=DTYPES[keras.config.backend()],
    )
    layer.build(*(given[name].shape for name in given))
    layer.set_weights(weights(call))
    options = {f"{name}_mask": mask for name, mask in real.items()}

    def results(*given):
        found = layer(*given, return_attention_scores=with_weights, **options)
        return found if with_weights else (found,)

    def total(*given):
        return sum(map(weighted_sum, results(*given)))

    return gradients(total, results, list(given.values()), layer)


def gradients(total, results, given, layer):
    find = {"tensorflow": in_tensorflow, "jax": in_jax, "torch": in_torch}
    return find[keras.config.backend()](total, results, given, layer)


def in_tensorflow(total, results, given, layer):
    import tensorflow as tf

    given = [tf.constant(x) for x in given]
    variables = layer.trainable_variables
    with tf.GradientTape() as tape:
        tape.watch(given)
        sum_ = total(*given)
    return results(*given), tape.gradient(sum_, [*given, *variables])


def in_jax(total, results, given, layer):
    import jax

    variables = layer.trainable_variables

    def stateless(values, *given):
        pairs = zip(variables, values, strict=True)
        with keras.StatelessScope(state_mapping=list(pairs)):
            return total(*given)

    values = [variable.value for variable in variables]
    numbers = tuple(range(len(given) + 1))
    of_values, *slopes = jax.grad(stateless, argnums=numbers)(values, *given)
    return results(*given), [*slopes, *of_values]


def in_torch(total, results, given, layer):
    import torch

    given = [torch.tensor(x, requires_grad=True) for x in given]
    variables = [v.value for v in layer.trainable_variables]
    slopes = torch.autograd.grad(total(*given), [*given, *variables])
    return [x.detach() for x in results(*given)], slopes


def main():
    path, *asked = sys.argv[1:]
    found = {}

    def keep(name, results, slopes):
        for n, x in enumerate(results):
            found[f"{name} result {n}"] = ops.convert_to_numpy(x)
        for n, x in enumerate(slopes):
            found[f"{name} gradient {n}"] = ops.convert_to_numpy(x)

    for attention_type in ATTENTION_TYPES:
        for size, with_weights in WAYS:
            sizes.FEW = SIZES[size]
            for call in CALLS:
                name = key(attention_type, size, call, with_weights)
                if name in asked:
                    keep(name, *of_layer(call, attention_type, with_weights))
    np.savez(path, **found)


if __name__ == "__main__":
    if keras.config.backend() == "jax":
        import jax

        jax.config.update("jax_enable_x64", True)
    main()
