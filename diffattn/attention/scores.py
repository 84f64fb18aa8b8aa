"""The six scoring functions, and a registry that says what each one is.

Every scoring function takes a query of shape (B, H, T, d) and a key of shape
(B, H, S, d), the heads already split, both float32 or float64, and a scale, a float
that multiplies the scores. It returns scores of shape (B, H, T, S), or (B, H, T, S, d)
where each feature has a score of its own.

`Score.symmetries` names the changes of query and key that leave the attention weights
as they are; what is not named there does change them, and the tests hold the registry
to both.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import keras
from keras import ops

from diffattn.attention.backend import compiled, custom_gradient
from diffattn.attention.kernels.distances import few_terms, minus_l1, minus_l2
from diffattn.attention.kernels.per_feature import attend_per_feature
from diffattn.checks import check_choice, check_scale

#: What may be done to query and key, in self-attention without positional
#: encoding, and be invisible in the weights.
SYMMETRIES = {
    "permutation": "shuffling the tokens shuffles the weights with them",
    "key_translation": "adding one vector to every key",
    "joint_translation": "adding one vector to every query and every key",
    "rotation": "rotating all queries and keys together",
    "rescaling": "stretching single queries and keys by positive factors",
}


@dataclass(frozen=True)
class Score:
    """One scoring function and what is known about it.

    Attributes:
        name: the attention type.
        formula: the score in LaTeX, without its scale.
        function: (query, key, scale) to scores; the scale goes to the query, which
            is smaller than the scores, where they are proportional to it.
        default_scale: the scale it starts with, as a function of d.
        symmetries: keys of `SYMMETRIES` that hold.
        per_feature: whether each feature has a score, and so weights, of its own.
        cost: the number of multiplications or exponentials that dominate.
        output: for a per-feature type, what computes the attention's output
            without its weights: (query, key, value, scale, mask, kept) to a
            tensor of shape (B, H, T, d); or None.
    """

    name: str
    formula: str
    function: Callable
    default_scale: Callable[[int], float]
    symmetries: frozenset[str]
    per_feature: bool
    cost: str
    output: Callable | None = None

    @property
    def order_aware(self) -> bool:
        """Whether it sees the order of tokens without positional encoding."""
        return "permutation" not in self.symmetries


REGISTRY: dict[str, Score] = {}


def register(
    formula,
    *,
    symmetries,
    cost,
    default_scale=lambda dim: 1.0,
    per_feature=False,
    output=None,
):
    """Enter the decorated scoring function into `REGISTRY` under its own name.

    Args:
        formula: str, the score in LaTeX, without its scale.
        symmetries: set of keys of `SYMMETRIES`, all that hold.
        cost: str, the number of multiplications or exponentials that dominate.
        default_scale: function of d, the scale where none is given; by default 1.
        per_feature: bool, whether each feature has a score of its own.
        output: for a per-feature type, what computes the output without the weights
            (see `Score`); None for through the weights.

    Returns:
        A decorator, which returns the function (query, key, scale) → scores as it is.

    Raises:
        ValueError: if the name is taken or a symmetry is not in `SYMMETRIES`.
    """

    def enter(function):
        name = function.__name__
        if name in REGISTRY:
            raise ValueError(f"attention type {name!r} is registered already")
        if unknown := set(symmetries) - set(SYMMETRIES):
            raise ValueError(f"{name}: unknown symmetries {sorted(unknown)}")
        REGISTRY[name] = Score(
            name,
            formula,
            function,
            default_scale,
            frozenset(symmetries),
            per_feature,
            cost,
            output,
        )
        return function

    return enter


def get_score(attention_type: str) -> Score:
    """The registered score of that name.

    Raises:
        ValueError: if there is none; the message lists those there are.
    """
    check_choice("attention_type", attention_type, REGISTRY)
    return REGISTRY[attention_type]


def score(query, key, attention_type: str, *, scale: float | None = None):
    """Scores of every query against every key, before mask and softmax.

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

    Args:
        query: floating-point tensor of shape (B, H, T, d).
        key: floating-point tensor of shape (B, H, S, d).
        attention_type: one of `diffattn.ATTENTION_TYPES`.
        scale: the number that multiplies the scores; by default 1/√d for
            ``scaled_dot_product`` and 1 for the others.

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
    query, key = _at_least_float32(query=query, key=key)
    check_shapes(query, key)
    if scale is None:
        scale = kind.default_scale(query.shape[-1])
    return kind.function(query, key, float(scale))


def previous(x):
    """prev(x): every row's predecessor along the tokens, 0 before the first.

    Args:
        x: tensor of shape (B, H, T, d).

    Returns:
        A tensor of the same shape, x one step down.
    """
    # Padded first and cut then, which is right for no tokens too.
    return ops.pad(x, [[0, 0], [0, 0], [1, 0], [0, 0]])[:, :, :-1]


@register(
    r"q_i \cdot k_j",
    default_scale=lambda dim: 1 / math.sqrt(dim),
    symmetries={"permutation", "key_translation", "rotation"},
    cost="T·S·d multiplications, one matrix product",
)
def scaled_dot_product(query, key, scale):
    """scale · q_i · k_j, scale 1/√d by default.

    Source: Vaswani et al., "Attention Is All You Need" (2017), section 3.2.1.
    """
    return ops.einsum("bhtd,bhsd->bhts", _times(query, scale), key)


@register(
    r"\frac{q_i \cdot k_j}{\lVert q_i \rVert \lVert k_j \rVert}",
    symmetries={"permutation", "rotation", "rescaling"},
    cost="T·S·d multiplications, one matrix product",
)
def cosine_similarity(query, key, scale):
    """scale · q_i · k_j / (‖q_i‖ ‖k_j‖), 0 for a zero vector.

    Source: the documentation's list of scores. Graves et al., "Neural Turing
    Machines" (2014), section 3.3.1, addresses memory with it.
    """
    return _times(_cosines(query, key), scale)


@register(
    r"-\sum_c \lvert q_{ic} - k_{jc} \rvert",
    symmetries={"permutation", "joint_translation"},
    cost="T·S·d absolute differences, no matrix product",
)
def l1_norm(query, key, scale):
    """−scale · Σ_c abs(q_ic − k_jc), the negative Manhattan distance.

    Source: the documentation's list of scores; see `kernels.distances`.
    """
    return _times(minus_l1(query, key), scale)


@register(
    r"-\lVert q_i - k_j \rVert_2",
    symmetries={"permutation", "joint_translation", "rotation"},
    cost="T·S·d squared differences",
)
def l2_norm(query, key, scale):
    """−scale · ‖q_i − k_j‖₂, the negative Euclidean distance.

    Source: the documentation's list of scores; see `kernels.distances`.
    """
    return _times(minus_l2(query, key), scale)


@register(
    r"\sum_c \left(q_{ic} k_{jc} - q_{i-1,c}\, k_{j-1,c}\right)",
    symmetries={"rotation"},
    cost="T·S·d multiplications, one matrix product",
)
def differentialSum(query, key, scale):  # noqa: N802 - the documentation's spelling
    """scale · Σ_c (q_ic k_jc − q_{i−1,c} k_{j−1,c}).

    q and k are 0 before token 0.

    Source: the discrete product rule of the documentation (see `differential`),
    summed over the features: the dot product less itself one step on.
    """
    return _step(scaled_dot_product(query, key, scale))


@register(
    r"q_{ic} k_{jc} - q_{i-1,c}\, k_{j-1,c}",
    symmetries=set(),
    per_feature=True,
    output=attend_per_feature,
    cost="T·S·d exponentials",
)
def differential(query, key, scale):
    """scale · (q_ic k_jc − q_{i−1,c} k_{j−1,c}), one score a feature.

    q and k are 0 before token 0.

    Source: the discrete product rule of the documentation,
    q_{i−1,c} (k_jc − k_{j−1,c}) + (q_ic − q_{i−1,c}) k_jc, for every pair (i, j).
    """

    def products(q, k):
        return ops.expand_dims(q, 3) * ops.expand_dims(k, 2)

    query = _times(query, scale)
    return products(query, key) - products(previous(query), previous(key))


def floating(name, x):
    """`x` as a tensor, or a ValueError that names it if it is not floating-point."""
    x = ops.convert_to_tensor(x)
    dtype = keras.backend.standardize_dtype(x.dtype)
    if not keras.backend.is_float_dtype(dtype):
        raise ValueError(
            f"{name} must be a floating-point tensor. Received: {name} of dtype {dtype}"
        )
    return x


def _at_least_float32(**tensors):
    """The tensors in one dtype: float64 where the first one is, else float32."""
    tensors = {name: floating(name, x) for name, x in tensors.items()}
    first = next(iter(tensors.values()))
    wide = keras.backend.standardize_dtype(first.dtype) == "float64"
    return [ops.cast(x, "float64" if wide else "float32") for x in tensors.values()]


def check_shapes(query, key):
    """Raise a ValueError unless they are (B, H, T, d) and (B, H, S, d)."""
    fits = (
        len(query.shape) == len(key.shape) == 4
        and query.shape[-1] == key.shape[-1]
        and may_equal(query.shape[:2], key.shape[:2])
    )
    if not fits:
        raise ValueError(
            "query and key must have shapes (B, H, T, d) and (B, H, S, d). "
            f"Received: query of shape {tuple(query.shape)}, "
            f"key of shape {tuple(key.shape)}"
        )


def may_equal(a, b):
    """Whether two shapes are equal where both are known."""
    return all(m is None or n is None or m == n for m, n in zip(a, b, strict=True))


def _times(x, scale):
    return x if scale == 1 else x * scale


@custom_gradient
def _step(products):
    """p_ij − p_{i−1,j−1}, with 0 before the first query and the first key."""
    before = [[0, 0], [0, 0], [1, 0], [1, 0]]
    after = [[0, 0], [0, 0], [0, 1], [0, 1]]

    def gradient(g):
        return g - ops.pad(g[:, :, 1:, 1:], after)

    return products - ops.pad(products[:, :, :-1, :-1], before), gradient


@custom_gradient
def _cosines(query, key):
    # Compiling takes longer than it saves where there is little to compute.
    run = (lambda function: function) if few_terms(query, key) else compiled
    q, q_factor, k, k_factor = run(_units)(query, key)

    def gradient(g):
        g_q = ops.einsum("bhts,bhsd->bhtd", g, k)
        g_k = ops.einsum("bhts,bhtd->bhsd", g, q)
        return run(_gradients_of_units)(q, q_factor, g_q, k, k_factor, g_k)

    return scaled_dot_product(q, k, 1), gradient


def _units(query, key):
    return *_unit(query), *_unit(key)


def _unit(x):
    """Rows of length 1, and what each was multiplied with; 0 and 0 for a zero row."""
    # The largest entry goes first, so that tiny rows do not square to 0.
    largest = ops.max(ops.abs(x), axis=-1, keepdims=True, initial=0)
    nonzero = largest > 0
    scaled = x / ops.where(nonzero, largest, 1)
    length = ops.sqrt(ops.sum(ops.square(scaled), axis=-1, keepdims=True))
    unit = scaled / ops.where(nonzero, length, 1)
    return unit, ops.where(nonzero, 1 / ops.where(nonzero, length * largest, 1), 0)


def _gradients_of_units(q, q_factor, g_q, k, k_factor, g_k):
    return _gradient_of_unit(q, q_factor, g_q), _gradient_of_unit(k, k_factor, g_k)


def _gradient_of_unit(unit, factor, g):
    return factor * (g - unit * ops.sum(unit * g, axis=-1, keepdims=True))
