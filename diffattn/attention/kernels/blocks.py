"""Attention in memory that is linear in the tokens: a block of queries at a time.

The weights A_ij of a block of queries, their softmax over all keys, are computed, used
and forgotten. The way back computes them again and takes from each block

    ∂L/∂v_j = Σ_i A_ij g_i,   ∂L/∂s_ij = A_ij (g_i · v_j − g_i · o_i),

and from the latter the block's gradients by queries and keys. That is one matrix
product more than with all weights kept, and no pass over memory that no cache holds.
"""

from collections.abc import Callable
from typing import Any

import keras
from keras import ops

from diffattn.attention.backend import custom_gradient, exporting, scan_in_turn
from diffattn.attention.kernels.softmax import (
    gradients_through_weights,
    masked_softmax,
)

#: Scores that a block may hold, in all heads and batch entries together: 16 MB. With
#: half of that, matrix products of too few rows take a fifth longer; memory of 32 MB
#: and more comes fresh from the system each time.
BLOCK = 2**22

#: Pairs of a head from which on its weights are too many to be kept.
MANY = 2**20

#: From queries and keys of shapes (B, H, T, d) and (B, H, S, d) to their scores
#: (B, H, T, S), and a function from the gradient by these to those by both.
ScoresWithGradient = Callable[[Any, Any], tuple[Any, Callable]]


def fits_blocks(query: Any, key: Any, dropout_mask: Any) -> bool:
    """Tell whether `attend_in_blocks` is the way to attend.

    It is on TensorFlow for many pairs, or for lengths that are known only later;
    without dropout, whose mask alone takes the memory of all pairs; and not in a graph
    that is exported, since other programs do not know all loops.
    """
    if keras.config.backend() != "tensorflow" or dropout_mask is not None:
        return False
    queries, keys = query.shape[2], key.shape[2]
    are_few = None not in (queries, keys) and queries * keys < MANY
    return not (are_few or exporting())


def attend_in_blocks(
    scores_of: ScoresWithGradient, query: Any, key: Any, value: Any, mask: Any
) -> Any:
    """Compute Σ_j A_ij v_j, A the masked softmax of the scores, on TensorFlow.

    Args:
        scores_of: computes the scores of some of the queries with all keys.
        query, key, value: tensors of shapes (B, H, T, d), (B, H, S, d) and
            (B, H, S, e).
        mask: None, or a boolean tensor that broadcasts to (B, H, T, S).

    Returns:
        A tensor of shape (B, H, T, e) in the value's dtype, computed in the query's.
    """

    def plain(query, key, value, mask):
        return masked_softmax(scores_of(query, key)[0], mask, axis=3) @ value

    def output(query, key, value, mask):
        blocks = _Blocks(query, key)

        def weights_of(n, queries):
            scores, gradient = scores_of(queries, key)
            return masked_softmax(scores, blocks.of_mask(mask, n), axis=3), gradient

        def forward(_, block):
            return (), weights_of(*block)[0] @ value

        _, attended = scan_in_turn(forward, (), blocks.numbered(query))
        attended = blocks.joined(attended)

        def backward(sums, block):
            n, queries, attended, g = block
            weights, gradient = weights_of(n, queries)
            by_scores, by_values = gradients_through_weights(
                weights, attended, value, g
            )
            by_queries, by_keys = gradient(by_scores)
            return (sums[0] + by_keys, sums[1] + by_values), by_queries

        def gradient(g):
            start = ops.zeros_like(key), ops.zeros_like(value)
            (by_keys, by_values), by_queries = scan_in_turn(
                backward, start, blocks.numbered(query, attended, g)
            )
            return blocks.joined(by_queries), by_keys, by_values

        return attended, gradient

    given = value.dtype
    value = ops.cast(value, query.dtype)
    lean = custom_gradient(plain)(output)
    return ops.cast(lean(query, key, value, mask=mask), given)


class _Blocks:
    """How queries are cut in blocks of one size, the last filled up with zeros."""

    def __init__(self, query, key):
        batch, heads, self.queries, _ = ops.shape(query)
        self.size = _size(self.queries, batch, heads, ops.shape(key)[2])
        # One block of nothing, if there are no queries: what it makes has a shape.
        self.number = -(-_at_least_one(self.queries) // self.size)
        self.missing = self.number * self.size - self.queries

    def numbered(self, *tensors):
        """The number of each block, and the blocks of each tensor (B, H, T, …)."""
        return ops.arange(self.number, dtype="int32"), *map(self._cut, tensors)

    def _cut(self, x):
        batch, heads, _, dim = ops.shape(x)
        x = ops.pad(x, [[0, 0], [0, 0], [0, self.missing], [0, 0]])
        x = ops.reshape(x, (batch, heads, self.number, self.size, dim))
        return ops.transpose(x, (2, 0, 1, 3, 4))

    def joined(self, x):
        """(blocks, B, H, size, …) to (B, H, T, …)."""
        _, batch, heads, _, dim = ops.shape(x)
        x = ops.transpose(x, (1, 2, 0, 3, 4))
        x = ops.reshape(x, (batch, heads, self.number * self.size, dim))
        return x[:, :, : self.queries]

    def of_mask(self, mask, n):
        """The mask's part for block n."""
        if mask is None or mask.shape[2] == 1:
            return mask
        batch, heads, _, keys = ops.shape(mask)
        mask = ops.pad(mask, [[0, 0], [0, 0], [0, self.missing], [0, 0]])
        start = (0, 0, n * self.size, 0)
        return ops.slice(mask, start, (batch, heads, self.size, keys))


def _size(queries, *others):
    """The queries of a block, so that it stays within `BLOCK`; at least one."""
    most = BLOCK
    for n in others:
        most = most // _at_least_one(n)
    if isinstance(most, int) and isinstance(queries, int):
        return max(1, min(most, queries))
    return _at_least_one(ops.minimum(most, queries))


def _at_least_one(n):
    """The larger of a length and 1, the length perhaps known later."""
    return max(n, 1) if isinstance(n, int) else ops.maximum(n, 1)
