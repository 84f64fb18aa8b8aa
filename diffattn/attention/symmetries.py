"""The symmetries of the scores, carried out: by how much the weights change."""

from collections.abc import Callable

import numpy as np
from keras import ops

from diffattn.attention.attend import attend
from diffattn.attention.registry import Score, get_score
from diffattn.checks import check_choice


def _permutation(q, k, rng):
    order = rng.permutation(q.shape[2])
    return q[:, :, order], k[:, :, order]


def _key_translation(q, k, rng):
    return q, k + rng.normal(size=k.shape[-1])


def _joint_translation(q, k, rng):
    shift = rng.normal(size=k.shape[-1])
    return q + shift, k + shift


def _rotation(q, k, rng):
    rotation, _ = np.linalg.qr(rng.normal(size=2 * k.shape[-1:]))
    return q @ rotation, k @ rotation


def _rescaling(q, k, rng):
    factors = rng.uniform(0.3, 3, size=(2, *q.shape[:3], 1))
    return q * factors[0], k * factors[1]


#: From a symmetry's name to what does it to queries and keys of shape (B, H, T, d):
#: a function of both and a `numpy.random.Generator` that returns both.
TRANSFORMATIONS: dict[str, Callable] = {
    "permutation": _permutation,
    "key_translation": _key_translation,
    "joint_translation": _joint_translation,
    "rotation": _rotation,
    "rescaling": _rescaling,
}


def change_of_weights(
    attention_type: str | Score,
    symmetry: str,
    *,
    tokens: int = 11,
    dim: int = 7,
    seed: int = 0,
) -> float:
    """By how much the attention weights change when queries and keys are changed.

    Queries, keys and the score's own parameters, if it has any, are standard normal;
    queries and keys are of shape (2, 3, tokens, dim) and float64.
    After a permutation the weights are put back in their old order first: what is
    left is what the order itself has changed.

    Args:
        attention_type: one of `diffattn.ATTENTION_TYPES`, another registered name,
            or a `diffattn.scores.Score`.
        symmetry: a key of `TRANSFORMATIONS`.
        tokens, dim: T and d.
        seed: int.

    Returns:
        The largest absolute change of a weight: rounding, below 1e-12, where the
        type has the symmetry.

    Raises:
        ValueError: on an unknown type or symmetry.
    """
    check_choice("symmetry", symmetry, TRANSFORMATIONS)
    rng = np.random.default_rng(seed)
    q, k = rng.normal(size=(2, 2, 3, tokens, dim))
    own = get_score(attention_type).parameters(3, dim)
    parameters = {name: rng.normal(size=p.shape) for name, p in own.items()}

    def weights(q, k):
        _, weights = attend(q, k, k, attention_type, parameters=parameters)
        return ops.convert_to_numpy(weights)

    before = weights(q, k)
    # The same random numbers twice: the permutation must be known here too.
    after = weights(*TRANSFORMATIONS[symmetry](q, k, np.random.default_rng(seed + 1)))
    if symmetry == "permutation":
        order = np.random.default_rng(seed + 1).permutation(tokens)
        before = before[:, :, order][:, :, :, order]
    return float(np.max(np.abs(after - before)))
