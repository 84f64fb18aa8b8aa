import numpy as np
import pytest

from diffattn.data.ceiling import order_blind_ceiling


@pytest.mark.parametrize(
    ("texts", "labels", "share"),
    [
        (["a b", "b a"], [1, 0], 1 / 2),  # one bag, both labels
        (["a b", "b a"], [1, 1], 1),
        (["a b", "a b b"], [1, 0], 1),  # how often a word stands counts
        (["a b", "b a", "b a", "c"], [1, 1, 0, 0], 3 / 4),
        (["a b c", "c b a", "b a c"], [0, 1, 2], 1 / 3),  # more than two labels
    ],
)
def test_counted_by_hand(texts, labels, share):
    assert order_blind_ceiling([text.split() for text in texts], labels) == share


def test_no_order_blind_rule_does_better():
    """All rules from bags to labels, tried one by one."""
    rng = np.random.default_rng(0)
    texts = ["".join(rng.choice(list("ab"), 3)) for _ in range(30)]
    labels = rng.integers(0, 2, 30)
    bags = [text.count("a") for text in texts]
    rules = np.array(np.meshgrid(*[[0, 1]] * 4)).reshape(4, -1).T
    best = max(np.mean(rule[bags] == labels) for rule in rules)
    assert order_blind_ceiling(texts, labels) == best
