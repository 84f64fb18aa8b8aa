"""From measurements to tables, and to what got worse."""

import json
from typing import NamedTuple

from benchmarks.plan import (
    BROADCAST,
    DOT,
    FUSED,
    INFERENCE,
    KERAS,
    LONGER,
    ONE_HEAD,
    SHORTER,
    SMALL_BATCH,
    SPREADS,
    THROUGH_WEIGHTS,
    TORCH,
)
from benchmarks.sizes import BATCH, TOKENS
from diffattn import ATTENTION_TYPES
from diffattn.costs import growth, ratio
from diffattn.files import write_json

#: A ratio that is larger than the reference's by more than this share got worse.
TOLERANCE = {"time": 0.25, "memory": 0.1}


class Comparison(NamedTuple):
    """What is compared, and what is asked of it.

    Attributes:
        case, other: names of cases; the ratio is case / other.
        size: the entries of `what` that select the measurements.
        other_size: those that differ for the other case.
        time, memory: the ratios that they should be at most, or None.
        added: whether memory is what the steps add, instead of the whole process's.
    """

    case: str
    other: str
    size: dict
    other_size: dict = {}  # noqa: RUF012 - nobody changes it
    time: float | None = None
    memory: float | None = None
    added: bool = False

    @property
    def label(self):
        shown = {key: n for key, n in self.size.items() if key in ("spread", "tokens")}
        size = "".join(f", {key} {n:g}" for key, n in shown.items())
        other = "".join(f", {key} {n:g}" for key, n in self.other_size.items())
        return f"{self.case}{size} / {self.other}{other}"

    def ratios(self, measured):
        """The medians of time and memory, as far as they were measured."""
        keys = {
            "time": "seconds",
            "memory": "memory" if self.added else "peak_memory",
        }
        return {
            what: compared.median
            for what, key in keys.items()
            if (
                compared := ratio(
                    measured,
                    self.case,
                    self.other,
                    key,
                    other_size=self.other_size,
                    **self.size,
                )
            )
        }


def _steps():
    documented, small = {"batch": BATCH}, {"batch": SMALL_BATCH}
    torch_dot, torch_l1, torch_l2 = TORCH
    return [
        Comparison(DOT, KERAS, documented, time=0.80, memory=1.0),
        Comparison("cosine_similarity", DOT, documented, time=1.10, memory=1.2),
        Comparison("l2_norm", DOT, documented, time=1.25, memory=1.3),
        Comparison("differentialSum", DOT, documented, time=1.3, memory=1.3),
        Comparison("l1_norm", DOT, documented, time=4, memory=1.3),
        Comparison("differential", DOT, documented, time=10, memory=1.3),
        Comparison("l1_norm", torch_l1, documented, time=1),
        Comparison("differential", ONE_HEAD, documented, time=0.5),
        Comparison(DOT, torch_dot, documented),
        Comparison("l2_norm", torch_l2, documented),
        *(Comparison(name, f"broadcast {name}", small) for name in BROADCAST),
    ]


def _spreads():
    trained = {"spread": SPREADS[0]}
    return [
        Comparison("differential", THROUGH_WEIGHTS, trained, time=1.05),
        *(Comparison("differential", DOT, {"spread": x}, time=7) for x in SPREADS),
    ]


def _lengths():
    shorter, longer = {"tokens": SHORTER}, {"tokens": LONGER}
    fused, l1, _ = TORCH
    return [
        *(
            Comparison(name, fused, longer, time=0.7, memory=1.2, added=True)
            for name in FUSED
        ),
        Comparison("differential", DOT, shorter, time=4, added=True),
        Comparison("differential", DOT, longer, time=4, added=True),
        Comparison("l1_norm", l1, shorter, time=0.5, added=True),
        *(
            Comparison(name, name, longer, shorter, memory=2.2, added=True)
            for name in ATTENTION_TYPES
        ),
    ]


def _layer():
    return [
        *(
            Comparison(f"layer eager {name}", f"layer function {name}", {}, memory=1.2)
            for name in ATTENTION_TYPES
        ),
        *(
            Comparison(f"layer token {name}", f"layer whole {name}", {}, time=0.01)
            for name in ATTENTION_TYPES
        ),
    ]


def _kernels():
    return [
        Comparison(
            f"kernel {backend} ours {name}",
            f"kernel {backend} fused {name}",
            {},
            time=1.1,
            memory=1.1,
            added=True,
        )
        for backend in ("jax", "torch")
        for name in FUSED
    ]


COMPARISONS = {
    "steps": _steps(),
    "spreads": _spreads(),
    "lengths": _lengths(),
    "layer": _layer(),
    "kernels": _kernels(),
    "pipeline": [Comparison("ours", "published", {}, time=0.6)],
}


def ratios(name, measured):
    """What a benchmark found: "case / other" to ratios of time and memory."""
    found = {pair.label: pair.ratios(measured) for pair in COMPARISONS[name]}
    return {label: value for label, value in found.items() if value}


def table(name, measured):
    """The benchmark as a table in Markdown, and what failed."""
    rows = _growth_rows(measured) if name == "growth" else _ratio_rows(name, measured)
    failed = [
        f"failed: {entry['what']}: {entry['error']}"
        for entry in measured
        if "error" in entry
    ]
    return "\n".join([*rows, *failed])


def _growth_rows(measured):
    rows = [
        "| case | over | time grows with power | memory with |",
        "|---|---|---|---|",
    ]
    cases = (*ATTENTION_TYPES, KERAS)
    for axis, shown, fixed in (
        ("tokens", (*cases, *(f"{INFERENCE} {case}" for case in cases)), {"batch": 1}),
        ("embed-dim", cases, {"tokens": TOKENS}),
    ):
        for case in shown:
            found = growth(measured, case, axis, **fixed)
            time, memory = (
                # Three sizes fix one decimal of a slope, not two.
                f"{exponent.median:.1f}" if exponent else ""
                for exponent in (found["time_exponent"], found["memory_exponent"])
            )
            rows.append(f"| {case} | {axis} | {time} | {memory} |")
    return rows


def _ratio_rows(name, measured):
    rows = ["| ratio | time | at most | memory | at most |", "|---|---|---|---|---|"]
    for pair in COMPARISONS[name]:
        found = pair.ratios(measured)
        if not found:
            continue
        cells = [pair.label]
        for what, limit in (("time", pair.time), ("memory", pair.memory)):
            cells.append(_figure(found[what]) if what in found else "")
            cells.append("" if limit is None else f"{limit:g}")
        rows.append(f"| {' | '.join(cells)} |")
    return rows


def _figure(ratio):
    return f"{ratio:.2f}" if ratio >= 0.1 else f"{ratio:.1g}"


def compare(name, measured, path):
    """What is worse than in the reference, as lines."""
    if name == "growth" or not path.exists():
        return []
    found = ratios(name, measured)
    return [
        f"worse than the reference: {what} of {pair}: {old:.2f}, now "
        f"{found[pair][what]:.2f}"
        for pair, olds in json.loads(path.read_text()).get(name, {}).items()
        for what, old in olds.items()
        if what in found.get(pair, {})
        and found[pair][what] > old * (1 + TOLERANCE[what])
    ]


def set_reference(name, measured, path):
    """Make the ratios found what later benchmarks are compared with."""
    if name == "growth":
        return
    reference = json.loads(path.read_text()) if path.exists() else {}
    write_json(path, {**reference, name: ratios(name, measured)})
