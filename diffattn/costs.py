"""Read and compare what each score costs, as `benchmarks/` measured it."""

import json
import os
from collections.abc import Iterable
from statistics import median
from typing import Any, NamedTuple

import numpy as np
from matplotlib.figure import Figure

from diffattn.errors import ResultError
from diffattn.figures import OTHER, color, new_figure, with_defaults
from diffattn.files import result_files

#: How many of the largest sizes give the exponent of growth; a constant cost hides it
#: at small ones.
_LARGEST = 3


class Rounds(NamedTuple):
    """What several rounds of a benchmark found.

    Attributes:
        median: of what each round found.
        low, high: the smallest and the largest of it.
        rounds: the number of rounds.
    """

    median: float
    low: float
    high: float
    rounds: int

    def __str__(self):
        if self.rounds == 1:
            return f"{self.median:.2f} (one round)"
        return f"{self.median:.2f} ({self.low:.2f} to {self.high:.2f})"

    @classmethod
    def of(cls, found: Iterable[float]) -> "Rounds":
        """Summarize what was found, a number for each round."""
        found = list(found)
        return cls(median(found), min(found), max(found), len(found))


def read_costs(folder: str | os.PathLike) -> dict[str, list[dict]]:
    """Read the benchmarks' results in a folder.

    Args:
        folder: where `python -m benchmarks` wrote them.

    Returns:
        A dict from a benchmark's name to its measurements. Each is a dict of
        ``what`` was measured (``case``, ``batch``, ``tokens``, ``embed-dim``,
        ``round``), ``seconds`` a step, and ``base_memory`` and ``peak_memory`` of
        its process in bytes, before the first step and in all; or ``error``.

    Raises:
        ResultError: if the folder is missing or has no results, or if a JSON file in
            it is not a benchmark's result.
    """
    return {path.stem: _read(path) for path in result_files(folder)}


def _read(path):
    try:
        return json.loads(path.read_text(encoding="utf-8"))["measured"]
    except OSError as error:
        raise ResultError(f"{path} cannot be read: {error.strerror}") from error
    except (KeyError, RecursionError, TypeError, ValueError) as error:
        raise ResultError(f"{path} is not a benchmark's result: {error}") from error


def select(measured: list[dict], case: str, **size: Any) -> list[dict]:
    """Select the successful measurements of one case and size."""
    criteria = {"case": case, **size}
    return [
        entry
        for entry in measured
        if "error" not in entry
        and all(entry["what"].get(key) == value for key, value in criteria.items())
    ]


def ratio(
    measured: list[dict],
    case: str,
    other: str,
    key: str,
    *,
    other_size: dict | None = None,
    **size: Any,
) -> Rounds | None:
    """Compare a case with another, round by round.

    Args:
        measured: measurements, as `read_costs` returns them.
        case, other: names of cases.
        key: the quantity to compare: ``seconds``, ``peak_memory`` (of the whole
            process), or ``memory`` (what the steps add to it).
        other_size: a dict of the entries that differ for the other case.
        **size: further entries of ``what`` that must match, such as ``batch``.

    Returns:
        A `Rounds` of case / other; None if no round has both, or if the other is 0.
    """
    costs, other_costs = (
        {
            entry["what"]["round"]: figure
            for entry in select(measured, name, **matching)
            if (figure := _figure(entry, key)) is not None
        }
        for name, matching in ((case, size), (other, {**size, **(other_size or {})}))
    )
    ratios = [
        costs[r] / other_costs[r]
        for r in costs.keys() & other_costs.keys()
        if other_costs[r]
    ]
    if not ratios:
        return None
    return Rounds.of(ratios)


def _figure(entry, key):
    if key == "memory":
        return entry["peak_memory"] - entry["base_memory"]
    return entry.get(key)


def growth(measured: list[dict], case: str, axis: str, **fixed: Any) -> dict:
    """Measure how a step grows along one axis.

    Args:
        measured: measurements, as `read_costs` returns them.
        case: the case's name.
        axis: ``tokens`` or ``embed-dim``.
        **fixed: the sizes along the other axes.

    Returns:
        A dict of ``x``, the sizes in ascending order; ``seconds`` and ``memory`` (bytes
        that the steps add to their process), a list with a `Rounds` for each size; and
        their exponents, ``time_exponent`` and ``memory_exponent``, each a `Rounds` of
        the slopes of straight lines fitted to the logarithms at the three largest
        sizes, or None where no round has these sizes or a step added no memory.
    """
    entries = select(measured, case, **fixed)
    x = sorted({entry["what"][axis] for entry in entries})
    found: dict[str, Any] = {"x": np.array(x, float)}
    for key, exponent in (("seconds", "time_exponent"), ("memory", "memory_exponent")):
        rounds = {
            (entry["what"]["round"], entry["what"][axis]): _figure(entry, key)
            for entry in entries
        }
        found[key] = [
            Rounds.of(figure for (_, size), figure in rounds.items() if size == at)
            for at in x
        ]
        largest = x[-_LARGEST:]
        slopes = [
            _slope(largest, [rounds[n, at] for at in largest])
            for n in {n for n, _ in rounds}
            if all(rounds.get((n, at)) for at in largest)
        ]
        found[exponent] = Rounds.of(slopes) if slopes else None
    return found


def _slope(x, y):
    return float(np.polyfit(np.log(x), np.log(y), 1)[0])


@with_defaults
def plot_costs(ratios: dict[str, tuple[Rounds, Rounds]], unit: str) -> Figure:
    """Plot time and memory of a training step, as multiples of one of them.

    Args:
        ratios: dict from a case to the `Rounds` of its time and those of its memory,
            as multiples of those of `unit`. A dot marks the median, a line goes from
            the smallest to the largest. The axis is logarithmic, so a ratio of 0 is
            left out.
        unit: the name of the case that the others are compared with.

    Returns:
        A `matplotlib.figure.Figure` with an opaque background.
    """
    names = list(ratios)[::-1]
    figure, panels = new_figure(8, 4, 2, sharey=True)
    for axes, label, column in zip(
        panels, ("time", "memory"), zip(*ratios.values(), strict=True), strict=True
    ):
        for row, (name, cost) in enumerate(zip(names, column[::-1], strict=True)):
            if cost.low <= 0:
                continue
            shade = color(name)
            axes.plot([cost.low, cost.high], [row, row], color=shade, linewidth=3)
            axes.plot(cost.median, row, "o", color=shade)
            axes.annotate(
                f"{cost.median:.2f}",
                (cost.high, row),
                (8, 0),
                textcoords="offset points",
                va="center",
                bbox={"facecolor": "white", "edgecolor": "none", "pad": 1},
            )
        axes.axvline(1, color="#333333", linestyle="--", linewidth=1, zorder=0)
        axes.set_xscale("log")
        axes.margins(x=0.25)
        axes.set_xlabel(f"{label}, {unit} = 1")
        axes.set_yticks(range(len(names)), names)
        axes.spines["left"].set_visible(False)
        axes.tick_params(axis="y", length=0)
    return figure


@with_defaults
def plot_growth(curves: dict[str, dict], label: str, of: str = "step") -> Figure:
    """Plot how time and memory of a step grow, on logarithmic axes.

    Args:
        curves: dict from a case to what `growth` returns: its medians are joined, and
            thin lines go from the smallest to the largest of the rounds.
        label: the label of the axis along which they grow.
        of: what takes the time and the memory.

    Returns:
        A `matplotlib.figure.Figure` with an opaque background.
    """
    figure, panels = new_figure(8, 4, 2)
    for axes, key, unit in zip(
        panels, ("seconds", "memory"), (f"seconds a {of}", f"GB a {of}"), strict=True
    ):
        for name, curve in curves.items():
            low, values, high = (
                np.array([getattr(found, part) for found in curve[key]])
                / (1e9 if key == "memory" else 1)
                for part in ("low", "median", "high")
            )
            shade = color(name)
            axes.vlines(curve["x"], low, high, color=shade, linewidth=1)
            axes.loglog(
                curve["x"],
                values,
                marker="o",
                markersize=4,
                color=shade,
                linestyle="--" if shade == OTHER else "-",
                label=name,
            )
        x = next(iter(curves.values()))["x"]
        axes.set_xticks(x, [f"{value:.0f}" for value in x])
        axes.minorticks_off()
        axes.set(xlabel=label, ylabel=unit)
    handles, labels = panels[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside right center", frameon=False)
    return figure
