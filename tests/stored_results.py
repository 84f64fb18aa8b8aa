"""Results of runs that need no training: what several tests of studies read."""

import json
from dataclasses import asdict

from diffattn.names import METRICS, MODEL_TYPES
from diffattn.studies.results import read_results, result_path


def store(folder, configs, metrics, extra=lambda config: {}):
    """Write results, and read them.

    Args:
        folder: where.
        configs: list of `Config`.
        metrics: function of a configuration to the value of all its metrics, to a dict
            of them, or to the text of an error.
        extra: function of a configuration to a dict of what else the result has.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for config in configs:
        made = metrics(config)
        document = {"config": asdict(config), "provenance": {}, **extra(config)}
        if isinstance(made, str):
            document["error"] = made
        elif isinstance(made, dict):
            document["metrics"] = made
        else:
            document["metrics"] = dict.fromkeys(METRICS, made)
        result_path(config, folder).write_text(json.dumps(document))
    return read_results(folder)


#: What a type adds to its seed's share of the accuracy.
ADDED = {"differential": 0.1, "l1_norm": 0.0001, "l2_norm": 0.0}


def accuracy(config):
    """Seeds differ widely, types in little but what `ADDED` says."""
    seed, place = config.seed, MODEL_TYPES.index(config.attention_type)
    noise = 0.001 * ((seed * (place + 1)) % 3 - 1)
    if config.attention_type == "l2_norm":
        noise *= 100
    return 0.5 + 0.05 * seed + ADDED.get(config.attention_type, 0) + noise
