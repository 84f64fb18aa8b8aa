"""Check what the JSON file of a run or of a result says, before it is believed."""

from collections.abc import Mapping
from typing import Any

from diffattn.checks import check_choice, check_int, check_number
from diffattn.names import KEPT, METRICS
from diffattn.training.answers import unpack_right


def check_document(document: Any) -> None:
    """Check the values of a run's or a result's document, except its ``config``.

    What a document may lack (see `diffattn.studies.results.read_result`) is not missed
    here.

    Args:
        document: what the JSON file holds.

    Raises:
        ValueError: on a value that no run can have; the message names it.
    """
    _check_dict("the document", document)
    for part in ("config", "metrics", "provenance"):
        _check_dict(part, document.get(part, {}))
    _check_metrics(document.get("metrics", {}))
    if "history" in document:
        check_history(document["history"], document.get("metrics", {}).get("epochs"))
    version = document.get("provenance", {}).get("standardization", 1)
    check_int("standardization", version)
    for part in KEPT:
        _check_dict(part, document.get(part, {}))
    for name, packed in document.get("right", {}).items():
        check_choice("right", name, ("test",))
        unpack_right(packed)
    for name, measured in document.get("tests", {}).items():
        _check_test(name, measured)
    _check_numbers("parameters", document.get("parameters", {}))


def check_history(history: Any, epochs: int | None = None) -> None:
    """Check that a history has, for each metric, one finite number an epoch.

    Args:
        history: dict from metric to a list.
        epochs: the number of epochs, or None for any but 0.

    Raises:
        ValueError: if it has not.
    """
    _check_dict("history", history)
    for metric in ("loss", "val_loss", "val_accuracy"):
        if metric not in history:
            raise ValueError(f"history has no {metric}")
    for metric, values in history.items():
        name = f"history of {metric}"
        if not isinstance(values, list) or not values:
            raise ValueError(f"{name} must be a list of numbers")
        if len(values) != (epochs or len(history["loss"])):
            raise ValueError(f"{name} must have one number an epoch")
        _check_numbers(name, values)


def _check_dict(name, value):
    if not isinstance(value, Mapping):
        raise ValueError(f"{name} must be a JSON object. Received: {value!r:.40}")


def _check_metrics(metrics):
    for metric in METRICS:
        if metric in metrics:
            _check_metric(metric, metrics[metric])
    for name in ("epochs", "kept_epoch"):
        if name in metrics:
            check_int(name, metrics[name])
    if metrics.get("kept_epoch", 0) > metrics.get("epochs", 2**63):
        raise ValueError("kept_epoch must not be above epochs")


def _check_metric(name, value):
    """Check a loss, or an accuracy, which is a share."""
    check_number(name, value)
    if "accuracy" in name and not 0 <= value <= 1:
        raise ValueError(f"{name} must be from 0 to 1. Received: {value!r}")


def _check_test(name, measured):
    _check_dict(f"test {name}", measured)
    for metric in ("loss", "accuracy"):
        if metric not in measured:
            raise ValueError(f"test {name} has no {metric}")
        _check_metric(f"{metric} of test {name}", measured[metric])
    if "right" in measured:
        unpack_right(measured["right"])


def _check_numbers(name, values):
    """Check all numbers in nested dicts and lists."""
    if isinstance(values, Mapping):
        values = list(values.values())
    if isinstance(values, list):
        for value in values:
            _check_numbers(name, value)
    else:
        check_number(name, values)
