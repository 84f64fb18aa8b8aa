"""Count the best accuracy that a model blind to word order can reach."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence

import numpy as np


def order_blind_ceiling(
    token_lists: Iterable[Sequence], labels: Sequence | np.ndarray
) -> float:
    """Count the best accuracy that any model blind to order can have on these texts.

    Such a model gives the same answer to all texts that use the same words equally
    often. Its best answer is the label that most of them have:
    (1/N) Σ_bags max_label count(bag, label).

    Args:
        token_lists: N sequences of tokens.
        labels: N labels.

    Returns:
        The accuracy, a float. It is exact for these texts, without sampling error.
    """
    bags: dict[tuple, Counter] = defaultdict(Counter)
    for tokens, label in zip(token_lists, labels, strict=True):
        bags[tuple(sorted(tokens))][int(label)] += 1
    return sum(max(counts.values()) for counts in bags.values()) / len(labels)
