"""Other ways for a dot product to see order: rivals of the differential scores.

Each is a few lines on a well-known idea, and an attention type like the six. What
they learn belongs to the layer, a value for each head. Their scale is that of
the dot product.
"""

from typing import Any

import numpy as np
from keras import ops

from diffattn.attention.kernels.products import by_head, dot_products, times
from diffattn.attention.kernels.shift import previous_in_segment
from diffattn.attention.places import Places, check_even, rotate, segments_of
from diffattn.attention.registry import Parameter, register
from diffattn.attention.scores import ScaledDotProduct
from diffattn.checks import check_int, check_number


@register
class RelativeBias(ScaledDotProduct):
    """scale · q_i · k_j + b_{j−i}: a learned bias for each distance, starting at 0.

    Distances share their bias in buckets as T5 has them: half of the buckets are for
    keys behind the query; of each half, the first half has a bucket for each distance,
    the second is spaced evenly in the logarithm up to `max_distance`, beyond which all
    distances are one.

    Args:
        buckets: int, a multiple of 4.
        max_distance: int, larger than a quarter of `buckets`.

    Source: Raffel and others, *Exploring the Limits of Transfer Learning with a Unified
    Text-to-Text Transformer*, 2019, arXiv:1910.10683. There no scale stands before the
    product.
    """

    name = "relative_bias"
    formula = r"q_i \cdot k_j + b_{j-i}"
    plain_formula = "q_i · k_j + b_{j−i}"
    cost = "T·S·d multiplications, one matrix product, and T·S biases"
    symmetries = frozenset({"key_translation", "rotation"})
    reach = 0
    uses_places = True

    def __init__(self, buckets: int = 32, max_distance: int = 128):
        check_int("buckets", buckets, 4)
        if buckets % 4:
            raise ValueError(
                f"buckets must be a multiple of 4. Received: buckets={buckets}"
            )
        check_int("max_distance", max_distance, buckets // 4 + 1)
        self.buckets = int(buckets)
        self.max_distance = int(max_distance)

    def parameters(self, num_heads: int, head_dim: int) -> dict[str, Parameter]:
        return {"bias": Parameter((num_heads, self.buckets), "zeros")}

    def __call__(
        self,
        query: Any,
        key: Any,
        scale: float,
        bias: Any = None,
        places: Places | None = None,
    ) -> Any:
        queries, keys = ops.shape(query)[2], ops.shape(key)[2]
        distances = ops.arange(1 - queries, keys, dtype="int32")
        if places is not None:
            distances = distances - places.query_offset
        by_distance = ops.take(bias, self.bucket(distances), axis=1)
        i = ops.arange(queries, dtype="int32")[:, None]
        j = ops.arange(keys, dtype="int32")[None, :]
        by_pair = ops.take(by_distance, j - i + queries - 1, axis=1)
        return dot_products(query, key, scale) + by_pair[None]

    def bucket(self, distance: Any) -> Any:
        """Return the number of the bucket of each distance j − i, all int32."""
        half = self.buckets // 2
        exact = half // 2
        far = ops.maximum(ops.abs(distance), exact)
        # The borders are numbers of this module: no logarithm of a backend rounds.
        steps = np.arange(1, half - exact) / (half - exact)
        borders = exact * (self.max_distance / exact) ** steps
        borders = ops.convert_to_tensor(np.ceil(borders - 1e-9).astype("int32"))
        passed = ops.cast(far[..., None] >= borders, "int32")
        logarithmic = exact + ops.sum(passed, axis=-1)
        is_near = ops.abs(distance) < exact
        bucket = ops.where(is_near, ops.abs(distance), logarithmic)
        return bucket + half * ops.cast(distance > 0, "int32")


@register
class Rotary(ScaledDotProduct):
    """scale · (R_i q_i) · (R_j k_j): each pair of features turned by an angle i · θ_c.

    With θ_c = base^(−2c/d) for the pair of the features c and c + d/2, the product
    depends on the places through j − i alone.

    Args:
        base: number above 1.

    Source: Su and others, *RoFormer: Enhanced Transformer with Rotary Position
    Embedding*, 2021, arXiv:2104.09864. There the pairs are of neighbouring features.
    """

    name = "rotary"
    formula = r"(R_i q_i) \cdot (R_j k_j)"
    plain_formula = "(R_i q_i) · (R_j k_j)"
    cost = "T·S·d multiplications, one matrix product"
    symmetries: frozenset[str] = frozenset()
    reach = 0
    uses_places = True

    def __init__(self, base: float = 10_000.0):
        check_number("base", base, 1)
        self.base = float(base)

    def parameters(self, num_heads: int, head_dim: int) -> dict[str, Parameter]:
        check_even(head_dim)
        return {}

    def as_product(
        self, query: Any, key: Any, scale: float, places: Places | None = None
    ) -> tuple[Any, Any]:
        first = 0 if places is None else places.query_offset
        query, key = self.rotate(query, first), self.rotate(key)
        return times(query, scale), key

    def rotate(self, x: Any, first: Any = 0) -> Any:
        """Turn the vectors (B, H, T, d) by their places, counted on from the first."""
        places = first + ops.arange(ops.shape(x)[2], dtype="int32")
        return rotate(x, places, self.base)


@register
class SmearedKeys(ScaledDotProduct):
    """scale · q_i · (σ(α) k_j + (1 − σ(α)) k_{j−1}): keys mixed with those before.

    α is learned, a number for each head, and starts at 0: half of each.

    Source: Olsson and others, *In-context Learning and Induction Heads*, 2022,
    arXiv:2209.11895.
    """

    name = "smeared_keys"
    formula = (
        r"q_i \cdot \left(\sigma(\alpha)\, k_j + (1 - \sigma(\alpha))\, k_{j-1}\right)"
    )
    plain_formula = "q_i · (σ(α) k_j + (1 − σ(α)) k_{j−1})"
    cost = "T·S·d multiplications, one matrix product"
    symmetries = frozenset({"rotation"})
    reach = 1
    uses_places = True

    def parameters(self, num_heads: int, head_dim: int) -> dict[str, Parameter]:
        return {"alpha": Parameter((num_heads,), "zeros")}

    def as_product(
        self,
        query: Any,
        key: Any,
        scale: float,
        alpha: Any = None,
        places: Places | None = None,
    ) -> tuple[Any, Any]:
        segments = segments_of(places)
        share = by_head(ops.sigmoid(alpha))
        past = previous_in_segment(key, 1, segments)
        mixed = share * key + (1 - share) * past
        return times(query, scale), mixed


@register
class MultiToken(ScaledDotProduct):
    """scale · Σ_ab θ_ab q_{i−a} · k_{j−b} with a and b of 0 and 1.

    A learned 2 × 2 convolution of the scores for each head, which starts as the dot
    product: θ_00 = 1, all else 0. differentialSum is its kernel with θ_00 = 1,
    θ_11 = −1.

    Source: Golovneva, Wang, Weston and Sukhbaatar, *Multi-Token Attention*, 2025,
    arXiv:2504.00927, whose kernels are larger and stand under a causal mask.
    """

    name = "multi_token"
    formula = r"\sum_{a,b \in \{0,1\}} \theta_{ab}\, q_{i-a} \cdot k_{j-b}"
    plain_formula = "Σ_ab θ_ab q_{i−a} · k_{j−b}"
    cost = "2·T·S·d multiplications, one matrix product"
    symmetries = frozenset({"rotation"})
    reach = 1
    uses_places = True

    def parameters(self, num_heads: int, head_dim: int) -> dict[str, Parameter]:
        return {"kernel": Parameter((num_heads, 2, 2), _start_as_dot_product)}

    def as_product(
        self,
        query: Any,
        key: Any,
        scale: float,
        kernel: Any = None,
        places: Places | None = None,
    ) -> tuple[Any, Any]:
        segments = segments_of(places)
        past = previous_in_segment(key, 1, segments)
        keys = [
            by_head(kernel[:, a, 0]) * key + by_head(kernel[:, a, 1]) * past
            for a in (0, 1)
        ]
        past_query = previous_in_segment(query, 1, segments)
        queries = ops.concatenate([query, past_query], axis=-1)
        return times(queries, scale), ops.concatenate(keys, axis=-1)


def _start_as_dot_product(shape, dtype=None):
    kernel = np.zeros(shape)
    kernel[:, 0, 0] = 1
    return ops.convert_to_tensor(kernel, dtype)
