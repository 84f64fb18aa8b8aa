from itertools import product

import pytest

from diffattn.names import MODEL_TYPES
from diffattn.studies.grid import grid
from diffattn.training.config import Config


def test_every_type_has_every_seed_and_the_seeds_come_one_after_the_other():
    configs = grid(data="order", distance=3)
    asked = product(range(5), MODEL_TYPES)
    assert [(config.seed, config.attention_type) for config in configs] == [*asked]
    (one,) = {
        Config(**{**vars(config), "attention_type": "none", "seed": 0})
        for config in configs
    }
    assert one == Config(data="order", distance=3, attention_type="none")


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (
            {"seeds": 0},
            "seeds must be a positive integer, below 10001. Received: seeds=0",
        ),
        ({"models": ["dot"]}, "attention_type must be one of scaled_"),
    ],
)
def test_what_is_out_of_bounds_is_named(settings, message):
    with pytest.raises(ValueError, match=message):
        grid(**settings)


def test_models_of_several_settings_and_later_seeds():
    causal = {"attention_type": "scaled_dot_product", "causal": True}
    configs = grid(["l1_norm", causal], 2, first_seed=5, epochs=3)
    assert [(c.label, c.seed) for c in configs] == [
        ("l1_norm", 5),
        ("scaled_dot_product + causal", 5),
        ("l1_norm", 6),
        ("scaled_dot_product + causal", 6),
    ]
    assert {c.epochs for c in configs} == {3}
