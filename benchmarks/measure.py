"""Measure one case in this process, and print what was found as JSON.

python -m benchmarks.measure CASE --batch 32 --tokens 250 --embed-dim 512
"""

import argparse
import json
import os
import resource
import statistics
import sys
import time
from importlib import import_module

from benchmarks.sizes import BATCH, EMBED_DIM, TOKENS

WARM_UP = 2
STEPS, SECONDS = 15, 10.0  # as many steps, but no longer, and 3 at the least
#: The module of a case, by its first word; `keras_cases` for all others.
MODULES = {word: f"benchmarks.{word}_cases" for word in ("torch", "layer", "kernel")}


def memory():
    """The most that this process has held, in bytes (ru_maxrss: KiB on Linux)."""
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def measure(step):
    base = memory()
    started = time.perf_counter()
    step()
    first = time.perf_counter() - started
    for _ in range(WARM_UP - 1):
        step()
    seconds = []
    while len(seconds) < 3 or (len(seconds) < STEPS and sum(seconds) < SECONDS):
        started = time.perf_counter()
        step()
        seconds.append(time.perf_counter() - started)
    return {
        "first_step": first,
        "seconds": statistics.median(seconds),
        "steps": len(seconds),
        "base_memory": base,
        "peak_memory": memory(),
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("case")
    parser.add_argument("--batch", type=int, default=BATCH)
    parser.add_argument("--tokens", type=int, default=TOKENS)
    parser.add_argument("--embed-dim", type=int, default=EMBED_DIM)
    parser.add_argument(
        "--spread",
        type=float,
        help="standard deviation of the embedding; by default as it is initialized",
    )
    args = parser.parse_args()
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    word = args.case.split()[0]
    module = import_module(MODULES.get(word, "benchmarks.keras_cases"))
    step = module.make_step(
        args.case, args.batch, args.tokens, args.embed_dim, args.spread
    )
    print(json.dumps(measure(step)))


if __name__ == "__main__":
    main()
