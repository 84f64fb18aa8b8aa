"""From measurements to tables, and to what got worse."""

import json

from benchmarks.plan import BROADCAST, KERAS, SMALL_BATCH
from benchmarks.sizes import BATCH, EMBED_DIM, TOKENS
from diffattn import ATTENTION_TYPES
from diffattn.costs import growth, ratio
from diffattn.files import write_json

#: A ratio that is larger than the reference's by more than this share got worse.
TOLERANCE = {"time": 0.25, "memory": 0.1}

DOT = "scaled_dot_product"
#: What is compared, and what is asked of it: time and memory at most, or None.
STEPS = {
    (DOT, KERAS): (0.80, 1.0),
    ("cosine_similarity", DOT): (1.10, 1.2),
    ("l2_norm", DOT): (1.25, 1.3),
    ("differentialSum", DOT): (1.3, 1.3),
    ("l1_norm", DOT): (4, 1.3),
    ("differential", DOT): (10, 1.3),
    ("l1_norm", "torch cdist p=1"): (1, None),
    ("differential", "torch one head a feature"): (0.5, None),
    (DOT, "torch scaled_dot_product"): (None, None),
    ("l2_norm", "torch cdist p=2"): (None, None),
}
SMALL_STEPS = {(name, f"broadcast {name}"): (None, None) for name in BROADCAST}
PIPELINE = {("ours", "published"): (0.6, None)}


def ratios(name, measured):
    """What a benchmark found: "case / other" to ratios of time and memory."""
    if name == "pipeline":
        groups = [(PIPELINE, {})]
    else:
        groups = [(STEPS, {"batch": BATCH}), (SMALL_STEPS, {"batch": SMALL_BATCH})]
    keys = {"time": "seconds", "memory": "peak_memory"}
    found = {
        f"{case} / {other}": {
            what: compared.median
            for what, key in keys.items()
            if name != "pipeline" or what == "time"
            if (compared := ratio(measured, case, other, key, **size))
        }
        for pairs, size in groups
        for case, other in pairs
    }
    return {pair: value for pair, value in found.items() if value}


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
    fixed = {"tokens": {"embed-dim": EMBED_DIM}, "embed-dim": {"tokens": TOKENS}}
    for axis, sizes in fixed.items():
        for case in (*ATTENTION_TYPES, KERAS):
            found = growth(measured, case, axis, **sizes)
            rows.append(
                f"| {case} | {axis} | {found['time_exponent']:.2f} "
                f"| {found['memory_exponent']:.2f} |"
            )
    return rows


def _ratio_rows(name, measured):
    limits = {
        f"{case} / {other}": limit
        for (case, other), limit in {**STEPS, **SMALL_STEPS, **PIPELINE}.items()
    }
    rows = ["| ratio | time | at most | memory | at most |", "|---|---|---|---|---|"]
    for pair, found in ratios(name, measured).items():
        cells = [pair]
        for what, limit in zip(("time", "memory"), limits[pair], strict=True):
            cells.append(f"{found[what]:.2f}" if what in found else "")
            cells.append("" if limit is None else f"{limit:g}")
        rows.append(f"| {' | '.join(cells)} |")
    return rows


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
        if pair in found and found[pair][what] > old * (1 + TOLERANCE[what])
    ]


def set_reference(name, measured, path):
    """Make the ratios found what later benchmarks are compared with."""
    if name == "growth":
        return
    reference = json.loads(path.read_text()) if path.exists() else {}
    write_json(path, {**reference, name: ratios(name, measured)})
