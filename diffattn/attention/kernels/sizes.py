"""How much is little: whether all terms may be computed at once."""

import math
from typing import Any

#: So many numbers of a batch entry are few enough to be written down at once.
FEW = 2**16


def few_terms(query: Any, key: Any) -> bool:
    """Tell whether all T·S·d differences or products of a batch entry are few enough.

    In an empty batch they are: what is made for many does not have to allow for it.
    """
    if query.shape[0] == 0:
        return True
    sizes = (*query.shape[1:], key.shape[2])
    return None not in sizes and math.prod(sizes) <= FEW
