import json
import math
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest

from diffattn import Config
from diffattn.data import DATASETS

#: The published script's settings, as the reference reports them.
DOCUMENTED = {
    "batch_size": 32,
    "split_seed": 42,
    "vocabulary_size": 10_000,
    "sequence_length": 250,
    "embedding_dim": 16,
    "embed_dim": 512,
    "num_heads": 8,
    "dropout": 0.2,
    "epochs": 10,
    "min_delta": 0.001,
    "patience": 5,
    "attention_type": "scaled_dot_product",
    "mask_padding": False,
}


def test_defaults_fit_the_data():
    for name, dataset in DATASETS.items():
        assert dataset.settings.items() <= asdict(Config(data=name)).items()
    assert Config(embed_dim=8).embed_dim == 8
    assert asdict(Config(data="imdb")).items() >= DOCUMENTED.items()


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"data": "imdb", "mask_padding": 1, "early_stopping": np.False_},
        {"scale": np.float32(0.5), "seed": np.int64(3), "learning_rate": 1},
        {"scale": -1e-05},
        {"target_accuracy": 1},
        {"data": "-imdb", "scale": -2},
        {"data": Path("a folder")},
    ],
)
def test_settings_survive_the_command_line_and_json(settings):
    from diffattn.cli import _parser

    config = Config(**settings)
    names = asdict(config)
    options = vars(_parser().parse_args(config.command()[1:]))
    assert Config(**{k: v for k, v in options.items() if k in names}) == config
    stored = json.loads(json.dumps(names))
    assert Config(**stored) == config
    assert all(type(stored[name]) is type(value) for name, value in names.items())


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"attention_type": "dot"}, "attention_type must be one of"),
        ({"embed_dim": 10, "num_heads": 4}, "must be divisible by num_heads"),
        ({"epochs": 0}, "epochs must be a positive integer.*epochs=0"),
        ({"dropout": -0.1}, "dropout must be a finite number.*dropout=-0.1"),
        ({"learning_rate": math.nan}, "learning_rate must be a finite number"),
        ({"seed": -1}, "seed must be an integer of at least 0.*seed=-1"),
        ({"mask_padding": "yes"}, "mask_padding must be one of True, False"),
        ({"scale": "big"}, "scale must be a finite number"),
        ({"vocabulary_size": 2}, "vocabulary_size must be .* at least 3.*size=2"),
        ({"data": "order", "sequence_length": 1}, "sequence_length must be .* least 2"),
        ({"target_accuracy": 1.5}, "target_accuracy must be at most 1.*accuracy=1.5"),
        ({"target_accuracy": -0.1}, "target_accuracy must be a finite number"),
        ({"validation_split": 1.0}, "validation_split must be a finite number"),
    ],
)
def test_an_invalid_setting_is_named(settings, message):
    with pytest.raises(ValueError, match=message):
        Config(**settings)


def test_an_unknown_setting_is_named():
    with pytest.raises(TypeError, match="unexpected keyword argument 'heads'"):
        Config(heads=3)
