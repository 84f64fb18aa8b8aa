"""The six scores, each one object; `score` computes any of them.

Source of the list: the documentation page "Custom Multi-Head Attention".
"""

import math
from collections.abc import Callable
from typing import Any

import keras
from keras import ops

from diffattn.attention.backend import without_autocast
from diffattn.attention.family import WithPrevious, with_previous
from diffattn.attention.kernels.blocks import ScoresWithGradient
from diffattn.attention.kernels.cosine import cosines, units
from diffattn.attention.kernels.distances import (
    attend_by_distance,
    l1_with_gradient,
    l2_with_gradient,
    minus_l1,
    minus_l2,
)
from diffattn.attention.kernels.per_feature import attend_per_feature
from diffattn.attention.kernels.products import dot_products, times
from diffattn.attention.kernels.shift import (
    plus_previous,
    previous,
    previous_by_head,
)
from diffattn.attention.places import Places, segments_of
from diffattn.attention.product import ProductScore
from diffattn.attention.registry import (
    REGISTRY,
    SYMMETRIES,
    Parameter,
    Score,
    get_score,
    register,
)
from diffattn.attention.shapes import at_least_float32, check_shapes, dtype_of_scores
from diffattn.checks import check_choice, check_scale

__all__ = [
    "REGISTRY",
    "SYMMETRIES",
    "Parameter",
    "Score",
    "get_score",
    "previous",
    "register",
    "score",
]


@without_autocast
def score(
    query: Any,
    key: Any,
    attention_type: str | Score,
    *,
    scale: float | None = None,
    parameters: dict | None = None,
    places: Places | None = None,
) -> Any:
    """Compute the scores of every query against every key, before mask and softmax.

    With q_i and k_j the rows of query and key, and prev(x)_i = x_{i-1} with
    prev(x)_0 = 0, the six scores are, times the scale:

    - ``scaled_dot_product``: q_i · k_j (scale 1/√d; Vaswani et al., 2017)
    - ``cosine_similarity``: q_i · k_j / (‖q_i‖ ‖k_j‖), and 0 for a zero vector
    - ``l1_norm``: −Σ_c abs(q_ic − k_jc)
    - ``l2_norm``: −‖q_i − k_j‖₂
    - ``differentialSum``: Σ_c (q_ic k_jc − q_{i−1,c} k_{j−1,c})
    - ``differential``: q_ic k_jc − q_{i−1,c} k_{j−1,c}, one score a feature

    The last two are the discrete product rule
    q_{i−1,c} (k_jc − k_{j−1,c}) + (q_ic − q_{i−1,c}) k_jc, telescoped.

    The scale decides how sharp the softmax is. For standard normal queries and keys,
    with the score's own scale, the scores of all pairs have these standard deviations,
    and with the scale in the last column they have 1 at every d:

    ======================  =====  =====  =====  =====  ===================
    standard deviation      d = 8     16     32     64  scale that gives 1
    ======================  =====  =====  =====  =====  ===================
    ``scaled_dot_product``   1.00   1.00   1.00   1.00  1/√d
    ``cosine_similarity``    0.35   0.25   0.18   0.12  √d
    ``l1_norm``              2.41   3.41   4.82   6.82  1/√((2 − 4/π) d)
    ``l2_norm``              0.98   0.99   1.00   1.00  1, to 2%
    ``differentialSum``      4.00   5.66   8.00  11.31  1/√(2d)
    ``differential``         1.41   1.41   1.41   1.41  1/√2
    ======================  =====  =====  =====  =====  ===================

    With another coefficient λ, the 2 in the last two is 1 + λ². About a quarter of the
    distances' variance is common to all keys of a query, and no softmax sees it. Where
    the spread grows with √d, one key has nearly all the weight from the start.

    Args:
        query: floating-point tensor of shape (B, H, T, d).
        key: floating-point tensor of shape (B, H, S, d).
        attention_type: one of `diffattn.ATTENTION_TYPES`, another name in
            `REGISTRY`, or a `Score`.
        scale: the number that multiplies the scores; by default 1/√d for
            ``scaled_dot_product`` and 1 for the others.
        parameters: dict of the values of the score's own parameters, if it has any;
            one that is left out is as it starts.
        places: where queries and keys stand, for a score that uses it; None where
            both begin with their text and are one segment.

    Returns:
        A tensor of shape (B, H, T, S), for ``differential`` (B, H, T, S, d);
        float64 if the query is, else float32: half precision is not enough for
        scores that go through an exponential.

    Raises:
        ValueError: on an unknown type, a scale that is not a finite number, or
            shapes that do not fit.
    """
    kind = get_score(attention_type)
    check_scale(scale)
    query, key = at_least_float32(query=query, key=key)
    check_shapes(query, key)
    if scale is None:
        scale = kind.default_scale(query.shape[-1])
    return kind(
        query,
        key,
        float(scale),
        **own_parameters(kind, parameters, query),
        **own_places(kind, places),
    )


def own_places(kind: Score, places: Places | None) -> dict:
    """Return `places` as a keyword argument of a score that uses them."""
    return {"places": places} if places is not None and kind.uses_places else {}


def own_parameters(kind: Score, given: dict | None, query: Any) -> dict:
    """Return the values of a score's own parameters, in the dtype of its scores.

    Args:
        kind: the score.
        given: dict of values by name; one that is left out is as it starts.
        query: tensor of shape (B, H, T, d).

    Raises:
        ValueError: on a name or a shape that the score does not have.
    """
    dtype, given = dtype_of_scores(query), given or {}
    expected = kind.parameters(query.shape[1], query.shape[3])
    for name, value in given.items():
        check_choice("parameter", name, expected)
        if tuple(value.shape) != expected[name].shape:
            raise ValueError(
                f"{name} must have shape {expected[name].shape} for {kind}. "
                f"Received: {name} of shape {tuple(value.shape)}"
            )
    return {
        name: ops.cast(
            given[name]
            if name in given
            else keras.initializers.get(parameter.initializer)(parameter.shape, dtype),
            dtype,
        )
        for name, parameter in expected.items()
    }


@register
class ScaledDotProduct(ProductScore):
    """scale · q_i · k_j, scale 1/√d by default.

    Source: Vaswani et al., "Attention Is All You Need" (2017), section 3.2.1.
    """

    name = "scaled_dot_product"
    formula = r"q_i \cdot k_j"
    plain_formula = "q_i · k_j"
    cost = "T·S·d multiplications, one matrix product"
    symmetries = frozenset({"permutation", "key_translation", "rotation"})

    def default_scale(self, dim: int) -> float:
        return 1 / math.sqrt(dim)

    def as_product(self, query: Any, key: Any, scale: float) -> tuple[Any, Any]:
        return times(query, scale), key


@register
class CosineSimilarity(ProductScore):
    """scale · q_i · k_j / (‖q_i‖ ‖k_j‖), 0 for a zero vector.

    Source: the documentation's list of scores. Graves et al., "Neural Turing
    Machines" (2014), section 3.3.1, addresses memory with it.
    """

    name = "cosine_similarity"
    formula = r"\frac{q_i \cdot k_j}{\lVert q_i \rVert \lVert k_j \rVert}"
    plain_formula = "q_i · k_j / (‖q_i‖ ‖k_j‖)"
    cost = "T·S·d multiplications, one matrix product"
    symmetries = frozenset({"permutation", "rotation", "rescaling"})

    def __call__(self, query: Any, key: Any, scale: float) -> Any:
        return times(cosines(query, key), scale)

    def as_product(self, query: Any, key: Any, scale: float) -> tuple[Any, Any]:
        q, k = units(query, key)
        return times(q, scale), k


class _Distance(Score):
    """−scale times a distance, which attends in memory linear in the tokens."""

    minus_distance: Callable[[Any, Any], Any]
    with_gradient: ScoresWithGradient

    def __call__(self, query: Any, key: Any, scale: float) -> Any:
        return times(self.minus_distance(query, key), scale)

    def attend(
        self,
        query: Any,
        key: Any,
        value: Any,
        *,
        scale: float,
        mask: Any,
        dropout_mask: Any,
    ) -> Any:
        return attend_by_distance(
            self.with_gradient, query, key, value, scale, mask, dropout_mask
        )


@register
class L1Norm(_Distance):
    """−scale · Σ_c abs(q_ic − k_jc), the negative Manhattan distance.

    Source: the documentation's list of scores; see `kernels.distances`.
    """

    name = "l1_norm"
    formula = r"-\sum_c \lvert q_{ic} - k_{jc} \rvert"
    plain_formula = "−Σ_c |q_ic − k_jc|"
    cost = "T·S·d absolute differences, no matrix product"
    symmetries = frozenset({"permutation", "joint_translation"})

    minus_distance = staticmethod(minus_l1)
    with_gradient = staticmethod(l1_with_gradient)


@register
class L2Norm(_Distance):
    """−scale · ‖q_i − k_j‖₂, the negative Euclidean distance.

    Source: the documentation's list of scores; see `kernels.distances`.
    """

    name = "l2_norm"
    formula = r"-\lVert q_i - k_j \rVert_2"
    plain_formula = "−‖q_i − k_j‖"
    cost = "T·S·d squared differences"
    symmetries = frozenset({"permutation", "joint_translation", "rotation"})

    minus_distance = staticmethod(minus_l2)
    with_gradient = staticmethod(l2_with_gradient)


@register
class DifferentialSum(WithPrevious, ProductScore):
    """scale · Σ_c (q_ic k_jc − q_{i−1,c} k_{j−1,c}), with 0 before token 0.

    With options it is scale · Σ_c (q_ic k_jc + λ q_{i−ℓ,c} k_{j−ℓ,c}); see
    `WithPrevious`.

    Source: the discrete product rule of the documentation (see `Differential`),
    summed over the features: the dot product less itself one step back.
    """

    name = "differentialSum"
    formula = r"\sum_c \left(q_{ic} k_{jc} - q_{i-1,c}\, k_{j-1,c}\right)"
    plain_formula = "q_i · k_j − q_{i−1} · k_{j−1}"
    cost = "T·S·d multiplications, one matrix product"
    symmetries = frozenset({"rotation"})
    without_previous = ScaledDotProduct.symmetries
    general_formulas = (
        r"\sum_c \left(q_{ic} k_{jc} + \lambda\, q_{i-\ell,c}\, k_{j-\ell,c}\right)",
        "q_i · k_j + λ q_{i−ℓ} · k_{j−ℓ}",
    )

    def __call__(
        self,
        query: Any,
        key: Any,
        scale: float,
        coefficient: Any = None,
        places: Places | None = None,
    ) -> Any:
        segments = segments_of(places)
        if segments is None and self.is_fixed_with_one_lag(coefficient):
            products = dot_products(query, key, scale)
            return plus_previous(products, self.coefficient, self.lag)
        return dot_products(*self.as_product(query, key, scale, coefficient, places))

    def as_product(
        self,
        query: Any,
        key: Any,
        scale: float,
        coefficient: Any = None,
        places: Places | None = None,
    ) -> tuple[Any, Any]:
        segments = segments_of(places)
        factor = self.by_head(coefficient)
        query = with_previous(times(query, scale), factor, self.lag, segments)
        return query, with_previous(key, 1.0, self.lag, segments)


@register
class Differential(WithPrevious):
    """scale · (q_ic k_jc − q_{i−1,c} k_{j−1,c}), one score a feature.

    q and k are 0 before token 0. With options it is
    scale · (q_ic k_jc + λ q_{i−ℓ,c} k_{j−ℓ,c}); see `WithPrevious`. Heads matter to it
    only then: one of several lags, or a learned λ, is for the features of its heads.

    Source: the discrete product rule of the documentation,
    q_{i−1,c} (k_jc − k_{j−1,c}) + (q_ic − q_{i−1,c}) k_jc, for every pair (i, j).
    """

    name = "differential"
    formula = r"q_{ic} k_{jc} - q_{i-1,c}\, k_{j-1,c}"
    plain_formula = "q_ic k_jc − q_{i−1,c} k_{j−1,c}, for each feature c"
    cost = "T·S·d exponentials"
    symmetries = frozenset()
    without_previous = frozenset({"permutation", "key_translation"})
    general_formulas = (
        r"q_{ic} k_{jc} + \lambda\, q_{i-\ell,c}\, k_{j-\ell,c}",
        "q_ic k_jc + λ q_{i−ℓ,c} k_{j−ℓ,c}, for each feature c",
    )
    per_feature = True

    def __call__(
        self,
        query: Any,
        key: Any,
        scale: float,
        coefficient: Any = None,
        places: Places | None = None,
    ) -> Any:
        segments = segments_of(places)

        def products(q, k):
            return ops.expand_dims(q, 3) * ops.expand_dims(k, 2)

        query = times(query, scale)
        past = self.by_head(coefficient) * previous_by_head(query, self.lag, segments)
        past_key = previous_by_head(key, self.lag, segments)
        return products(query, key) + products(past, past_key)

    def attend(
        self,
        query: Any,
        key: Any,
        value: Any,
        *,
        scale: float,
        mask: Any,
        dropout_mask: Any,
        coefficient: Any = None,
        places: Places | None = None,
    ) -> Any:
        if segments_of(places) is not None:
            return None  # the lean form looks back across the borders of segments
        factor = self.by_head(coefficient)
        return attend_per_feature(
            query, key, value, scale, mask, dropout_mask, factor, self.lag
        )
