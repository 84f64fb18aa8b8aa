"""From measurements to ratios, tables, exponents, and what got worse."""

import json
from statistics import median

import numpy as np

from benchmarks.plan import KERAS, SMALL_BATCH
from benchmarks.sizes import BATCH, EMBED_DIM, TOKENS
from diffattn import ATTENTION_TYPES
from diffattn.trainer import write_json

#: A ratio that is larger than the reference's by more than this share got worse.
TOLERANCE = {"time": 0.25, "memory": 0.1}

#: What ratios are asked for: (case, to which, time at most, memory at most).
DOT = "scaled_dot_product"
LIMITS = [
    (DOT, KERAS, 0.80, 1.0),
    ("cosine_similarity", DOT, 1.10, 1.2),
    ("l2_norm", DOT, 1.25, 1.3),
    ("differentialSum", DOT, 1.3, 1.3),
    ("l1_norm", DOT, 4, 1.3),
    ("l1_norm", "torch cdist p=1", 1, None),
    ("differential", DOT, 10, 1.3),
    ("differential", "torch one head a feature", 0.5, None),
]


def find(measured, case, **size):
    """The measurements of a case and size that did not fail, by round."""
    wanted = {"case": case, **size}
    return {
        entry["what"]["round"]: entry
        for entry in measured
        if "error" not in entry
        and all(entry["what"].get(key) == value for key, value in wanted.items())
    }


def ratio(measured, case, other, key, **size):
    """The median over the rounds of case / other, None where one is missing."""
    ours, theirs = (find(measured, name, **size) for name in (case, other))
    rounds = sorted(set(ours) & set(theirs))
    if not rounds:
        return None
    return median(ours[r][key] / theirs[r][key] for r in rounds)


def ratios(name, measured):
    """What a benchmark found: dict from "case / other" to time and memory ratios."""
    if name == "pipeline":
        epochs = [
            {**entry, "seconds": median(entry["epochs"])}
            for entry in measured
            if "error" not in entry
        ]
        return {
            "ours / published": {"time": ratio(epochs, "ours", "published", "seconds")}
        }
    if name == "growth":
        return {}
    pairs = [(case, other, BATCH) for case, other, *_ in LIMITS]
    pairs += [("torch cdist p=2", "l2_norm", BATCH)]
    pairs += [("torch scaled_dot_product", DOT, BATCH)]
    pairs += [
        (f"broadcast {case}", case, SMALL_BATCH)
        for case in ("l1_norm", "l2_norm", "differential")
    ]
    found = {}
    for case, other, batch in pairs:
        time, memory = (
            ratio(measured, case, other, key, batch=batch)
            for key in ("seconds", "peak_memory")
        )
        if time is not None:
            found[f"{case} / {other}"] = {"time": time, "memory": memory}
    return found


def growth(measured):
    """How a step grows: dict from (case, axis) to exponents of time and memory.

    The exponent is the slope of a line through the logarithms; the memory is
    what the steps add to what the process held before them.
    """
    axes = {"tokens": {"embed-dim": EMBED_DIM}, "embed-dim": {"tokens": TOKENS}}
    found = {}
    for case in (*ATTENTION_TYPES, KERAS):
        for axis, fixed in axes.items():
            entries = [
                entry
                for entry in measured
                if "error" not in entry
                and entry["what"]["case"] == case
                and all(entry["what"][key] == value for key, value in fixed.items())
            ]
            entries.sort(key=lambda entry: entry["what"][axis])
            if len(entries) < 3:
                continue
            x = np.array([entry["what"][axis] for entry in entries], float)
            seconds = np.array([entry["seconds"] for entry in entries])
            memory = np.array([e["peak_memory"] - e["base_memory"] for e in entries])
            found[case, axis] = {
                "x": x,
                "seconds": seconds,
                "memory": memory,
                "time exponent": _slope(x, seconds),
                "memory exponent": _slope(x, memory),
            }
    return found


def _slope(x, y):
    return float(np.polyfit(np.log(x), np.log(y), 1)[0])


def table(name, measured):
    """The benchmark as a table in Markdown."""
    if name == "growth":
        rows = [
            f"| {case} | {axis} | {found['time exponent']:.2f} "
            f"| {found['memory exponent']:.2f} |"
            for (case, axis), found in growth(measured).items()
        ]
        head = ["| case | grows with | time's exponent | memory's exponent |"]
        return "\n".join([*head, "| --- | --- | --- | --- |", *rows])
    limits = {f"{case} / {other}": rest for case, other, *rest in LIMITS}
    limits["ours / published"] = (0.6, None)
    rows = []
    for pair, found in ratios(name, measured).items():
        cells = [pair]
        for key, limit in zip(
            ("time", "memory"), limits.get(pair, (None, None)), strict=True
        ):
            value = found.get(key)
            cells.append("" if value is None else f"{value:.2f}")
            cells.append("" if limit is None else f"{limit:g}")
        rows.append(f"| {' | '.join(cells)} |")
    failed = [
        f"{entry['what']['case']}: {entry['error']}"
        for entry in measured
        if "error" in entry
    ]
    head = ["| ratio | time | at most | memory | at most |"]
    return "\n".join([*head, "| --- | --- | --- | --- | --- |", *rows, *failed])


def compare(name, measured, path, update=False):
    """What is worse than in the reference, as lines; or set the reference."""
    reference = json.loads(path.read_text()) if path.exists() else {}
    found = ratios(name, measured)
    if update:
        write_json(path, {**reference, name: found})
        return []
    return [
        f"worse than the reference: {pair}, {key} {old:.2f} → {found[pair][key]:.2f}"
        for pair, olds in reference.get(name, {}).items()
        for key, old in olds.items()
        if pair in found
        and old is not None
        and found[pair][key] > old * (1 + TOLERANCE[key])
    ]
