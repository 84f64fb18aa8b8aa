"""The models that the studies of word order compare, as settings of `Config`."""

import re
from collections.abc import Mapping
from typing import Any

from diffattn.names import ATTENTION_TYPES

#: A model of a grid: an attention type, or several settings of `Config`.
Model = str | Mapping[str, Any]

#: The documented difference, the primary row of most comparisons.
DIFFERENCE = "differentialSum"

#: The same score with the sign reversed: p_ij + p_{i−1,j−1}.
SUM = "differentialSum(coefficient=1.0)"

#: The coefficient learned for each head, from the documented start.
LEARNED = "differentialSum(learned=True)"

#: The members of the differential family beside the two documented ones.
FAMILY: tuple[Model, ...] = (
    SUM,
    LEARNED,
    "differentialSum(lag=2)",
    "differentialSum(lag=(1, 2))",
)

_DOT = "scaled_dot_product"

#: Sines and cosines added to the embedding.
POSITIONS: Model = {"attention_type": _DOT, "positional_encoding": True}

#: Each token attends to itself and those before it.
CAUSAL: Model = {"attention_type": _DOT, "causal": True}

#: A convolution over two tokens in the place of attention.
CONVOLUTION: Model = {"attention_type": "none", "convolution": 2}

#: Two causal layers, one on the other.
TWO_LAYERS: Model = {"attention_type": _DOT, "causal": True, "layers": 2}

#: The same with positions.
TWO_LAYERS_WITH_POSITIONS: Model = {
    "attention_type": _DOT,
    "causal": True,
    "layers": 2,
    "positional_encoding": True,
}

#: Attention with positions in a Transformer block.
BLOCK: Model = {"attention_type": _DOT, "positional_encoding": True, "block": True}

#: Other ways to see order, which have the same chances as the difference.
RIVALS: tuple[Model, ...] = (
    POSITIONS,
    "relative_bias",
    "rotary",
    CAUSAL,
    "smeared_keys",
    "multi_token",
    CONVOLUTION,
    TWO_LAYERS,
    BLOCK,
)

#: The six documented types.
SIX: tuple[Model, ...] = ATTENTION_TYPES


def label(model: Model) -> str:
    """Return the model's name in tables, as `Config.label` gives it."""
    # Here, not above: the grids of the studies need no data set for their models.
    from diffattn.studies.grid import grid

    (config,) = grid([model], seeds=1, data="sentences")
    return config.label


def file_name(label: str) -> str:
    """Spell a model's label with letters, digits and "_.-" alone, for files.

    Example:
        >>> file_name("scaled_dot_product + 2 layers")
        'scaled_dot_product-with-2-layers'
    """
    # A minus stays, beside what stands for the sign before it: 1.0 is not -1.0.
    parts = [
        re.sub(r"[^A-Za-z0-9_.-]+", "-", part).strip("-") for part in label.split(" + ")
    ]
    return "-with-".join(parts)
