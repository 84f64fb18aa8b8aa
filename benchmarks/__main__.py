"""Measure all attention types and their peers side by side, and say what got worse.

python -m benchmarks [PLAN ...]
"""

import argparse
import json
import os
import subprocess
import sys
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path

from tqdm import tqdm

from benchmarks.plan import PLANS
from benchmarks.report import compare, set_reference, table
from diffattn.data.imdb import IMDB_VARIABLE
from diffattn.files import write_json
from diffattn.provenance import provenance

ROOT = Path(__file__).parent.parent
RESULTS = ROOT / "results" / "benchmark"
REFERENCE = Path(__file__).parent / "reference.json"


def main():
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks",
        description="Measure time and memory, each case in a process of its own. "
        "What is measured already is kept when a benchmark goes on after a break.",
    )
    parser.add_argument(
        "plans",
        nargs="*",
        metavar="PLAN",
        help=f"which of {', '.join(PLANS)}; all of them by default",
    )
    parser.add_argument(
        "--set-reference",
        action="store_true",
        help="make the ratios found the reference for later benchmarks",
    )
    args = parser.parse_args()
    if unknown := set(args.plans) - set(PLANS):
        parser.error(f"no such plan: {', '.join(sorted(unknown))}")
    worse = []
    for name in args.plans or PLANS:
        if name == "pipeline" and IMDB_VARIABLE not in os.environ:
            print(f"pipeline: skipped, {IMDB_VARIABLE} names no copy of the reviews")
            continue
        measured = run(name)
        print(table(name, measured))
        if args.set_reference:
            set_reference(name, measured, REFERENCE)
        worse += compare(name, measured, REFERENCE)
    print("\n".join(worse))
    sys.exit(bool(worse))


def run(name):
    """Measure what a plan asks for, write it down, and return it."""
    path, unfinished = RESULTS / f"{name}.json", RESULTS / f"{name}.unfinished"
    RESULTS.mkdir(parents=True, exist_ok=True)
    origin = {"command": f"python -m benchmarks {name}", **provenance()}
    origin["versions"]["torch"] = version("torch") if find_spec("torch") else None
    measured = _begun(unfinished, origin)
    known = {json.dumps(entry["what"]) for entry in measured}
    wanted = [what for what in PLANS[name]() if json.dumps(what) not in known]
    for what in tqdm(wanted, desc=name, disable=None):
        measured.append({"what": what, **measure(what)})
        write_json(unfinished, {"provenance": origin, "measured": measured})
    write_json(path, {"provenance": origin, "measured": measured})
    unfinished.unlink(missing_ok=True)
    return measured


def _begun(unfinished, origin):
    """What an interrupted benchmark of the same code and versions has measured."""
    if not unfinished.exists():
        return []
    begun = json.loads(unfinished.read_text())
    same = all(
        begun["provenance"][key] == origin[key] for key in ("commit", "versions")
    )
    return begun["measured"] if same else []


def measure(what):
    """One measurement in a process of its own; an error where it fails."""
    options = [
        f"--{key}={what[key]}"
        for key in ("batch", "tokens", "embed-dim", "spread")
        if key in what
    ]
    answer = subprocess.run(
        [sys.executable, "-m", what["program"], what["case"], *options],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    if answer.returncode == 0:
        return json.loads(answer.stdout.splitlines()[-1])
    # Killed, by a signal, is what a process without memory is.
    reason = answer.stderr.strip().splitlines()[-1:] or [f"status {answer.returncode}"]
    return {"error": reason[0]}


if __name__ == "__main__":
    main()
