"""What is measured: lists of measurements, each a program, its case and its size."""

from importlib.util import find_spec

from benchmarks.sizes import BATCH, EMBED_DIM, TOKENS
from diffattn import ATTENTION_TYPES

#: Every round measures everything once, so that ratios within it are of one time.
ROUNDS = 5
KERAS = "keras MultiHeadAttention"
TORCH = ("torch scaled_dot_product", "torch cdist p=1", "torch cdist p=2")
#: A minute a measurement: it is measured once, beside `differential`.
ONE_HEAD = "torch one head a feature"
#: The broadcast formulas need tens of gigabytes at the documented batch.
SMALL_BATCH = 4
BROADCAST = ("l1_norm", "l2_norm", "differential")


def steps():
    """A training step of the documented classifier, and of its peers."""
    torch = TORCH if find_spec("torch") else ()
    return [
        *_sizes((KERAS, *ATTENTION_TYPES, *torch)),
        *_sizes((ONE_HEAD,) if torch else (), rounds=1),
        *_sizes(
            [case for name in BROADCAST for case in (name, f"broadcast {name}")],
            batch=SMALL_BATCH,
        ),
    ]


def _sizes(cases, batch=BATCH, tokens=TOKENS, embed_dim=EMBED_DIM, rounds=ROUNDS):
    return [
        {
            "program": "benchmarks.measure",
            "case": case,
            "batch": batch,
            "tokens": tokens,
            "embed-dim": embed_dim,
            "round": round_,
        }
        for round_ in range(rounds)
        for case in cases
    ]


def growth():
    """How a step grows with the tokens, and with the features."""
    cases = (*ATTENTION_TYPES, KERAS)
    return [
        *(
            what
            for tokens in (125, 250, 500, 1000, 2000)
            for what in _sizes(cases, SMALL_BATCH, tokens, rounds=1)
        ),
        *(
            what
            for embed_dim in (64, 128, 256, 1024)
            for what in _sizes(cases, SMALL_BATCH, embed_dim=embed_dim, rounds=1)
        ),
    ]


def pipeline():
    """An epoch of the baseline over the IMDB reviews."""
    return [
        {"program": "benchmarks.pipeline", "case": case, "round": round_}
        for round_ in range(ROUNDS)
        for case in ("ours", "published")
    ]


PLANS = {"steps": steps, "growth": growth, "pipeline": pipeline}
