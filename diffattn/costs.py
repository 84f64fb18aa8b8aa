"""What each score costs: the measurements of `benchmarks/`, read and compared."""

import json
import os
from statistics import median
from typing import NamedTuple

import numpy as np

from diffattn.results import ResultError, result_files

#: Growth is read off the longest sizes: before, a constant part hides it.
_LAST = 3


class Ratio(NamedTuple):
    """How many times as much one case takes as another.

    Attributes:
        median: of the ratios, each within one round.
        low, high: the smallest and the largest of them.
        rounds: how many there are.
    """

    median: float
    low: float
    high: float
    rounds: int

    def __str__(self):
        if self.rounds == 1:
            return f"{self.median:.2f} (one round)"
        return f"{self.median:.2f} ({self.low:.2f} to {self.high:.2f})"


def read_costs(folder: str | os.PathLike) -> dict[str, list[dict]]:
    """The benchmarks' results in a folder.

    Args:
        folder: where `python -m benchmarks` has written them.

    Returns:
        A dict from a benchmark's name to its measurements. Each is a dict of
        ``what`` was measured (``case``, ``batch``, ``tokens``, ``embed-dim``,
        ``round``), ``seconds`` a step, and ``base_memory`` and ``peak_memory`` of
        its process in bytes, before the first step and in all; or ``error``.

    Raises:
        ResultError: if there is no such folder or no result in it, or if a JSON file
            in it is no benchmark's result.
    """
    return {path.stem: _read(path) for path in result_files(folder)}


def _read(path):
    try:
        return json.loads(path.read_text(encoding="utf-8"))["measured"]
    except OSError as error:
        raise ResultError(f"{path} cannot be read: {error.strerror}") from error
    except (KeyError, RecursionError, TypeError, ValueError) as error:
        raise ResultError(f"{path} is not a benchmark's result: {error}") from error


def select(measured: list[dict], case: str, **size) -> list[dict]:
    """The measurements of one case and size that did not fail."""
    wanted = {"case": case, **size}
    return [
        entry
        for entry in measured
        if "error" not in entry
        and all(entry["what"].get(key) == value for key, value in wanted.items())
    ]


def ratio(measured: list[dict], case: str, other: str, key: str, **size):
    """How a case compares with another, round by round.

    Args:
        measured: measurements, as `read_costs` gives them.
        case, other: names of cases.
        key: what of them: ``seconds``, ``peak_memory`` (of the whole process), or
            ``memory`` (what the steps add to it).
        **size: what else of ``what`` must agree, as ``batch``.

    Returns:
        A `Ratio`, case / other; None if no round has both.
    """
    ours, theirs = (
        {
            entry["what"]["round"]: _figure(entry, key)
            for entry in select(measured, name, **size)
        }
        for name in (case, other)
    )
    ratios = [ours[r] / theirs[r] for r in ours.keys() & theirs.keys()]
    if not ratios:
        return None
    return Ratio(median(ratios), min(ratios), max(ratios), len(ratios))


def _figure(entry, key):
    if key == "memory":
        return entry["peak_memory"] - entry["base_memory"]
    return entry[key]


def growth(measured: list[dict], case: str, axis: str, **fixed) -> dict:
    """How a step grows along one axis.

    Args:
        measured: measurements, as `read_costs` gives them.
        case: the case's name.
        axis: ``tokens`` or ``embed-dim``.
        **fixed: the sizes that stay as they are.

    Returns:
        A dict of arrays ``x`` (along the axis), ``seconds`` and ``memory`` (bytes
        that the steps add to their process), and the exponents of both,
        ``time_exponent`` and ``memory_exponent``: the slopes of straight lines
        through the logarithms of the three largest sizes.
    """
    entries = sorted(
        select(measured, case, **fixed), key=lambda entry: entry["what"][axis]
    )
    x = np.array([entry["what"][axis] for entry in entries], float)
    seconds = np.array([entry["seconds"] for entry in entries])
    memory = np.array([_figure(entry, "memory") for entry in entries], float)
    return {
        "x": x,
        "seconds": seconds,
        "memory": memory,
        "time_exponent": _slope(x, seconds),
        "memory_exponent": _slope(x, memory),
    }


def _slope(x, y):
    return float(np.polyfit(np.log(x[-_LAST:]), np.log(y[-_LAST:]), 1)[0])
