"""What is measured: lists of measurements, each a program, its case and its size."""

from importlib.util import find_spec

from benchmarks.sizes import BATCH, EMBED_DIM, TOKENS
from diffattn import ATTENTION_TYPES

#: Every round measures everything once, so that ratios within it are of one time.
ROUNDS = 5
#: For what takes long and is asked of nobody to a tenth.
FEW_ROUNDS = 3
KERAS = "keras MultiHeadAttention"
TORCH = ("torch scaled_dot_product", "torch cdist p=1", "torch cdist p=2")
#: A minute a measurement: it is measured once, beside `differential`.
ONE_HEAD = "torch one head a feature"
#: The broadcast formulas need tens of gigabytes at the documented batch.
SMALL_BATCH = 4
BROADCAST = ("l1_norm", "l2_norm", "differential")
DOT = "scaled_dot_product"
THROUGH_WEIGHTS = "differential through weights"
#: Before a case's name: the step only predicts.
INFERENCE = "inference"
#: Standard deviations of the embedding: as trained layers have it, and wider.
SPREADS = (1, 100)
#: Texts that are long, one at a time.
SHORTER, LONGER, LONGEST = 2000, 4000, 8000
#: What the fused attention of other backends is compared with.
FUSED = (DOT, "differentialSum")


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


def spreads():
    """A step of `differential` where its scores are as spread as in trained layers."""
    trained, *wider = SPREADS
    return [
        *_sizes((DOT, "differential", THROUGH_WEIGHTS), spread=trained),
        *(
            what
            for spread in wider
            for what in _sizes((DOT, "differential"), rounds=FEW_ROUNDS, spread=spread)
        ),
    ]


def lengths():
    """A step with one long text, the embedding of unit scale."""
    torch = bool(find_spec("torch"))
    often = (DOT, "differentialSum", "differential", *TORCH[:1] * torch)
    once = [name for name in ATTENTION_TYPES if name not in often]
    distance = ("l1_norm", *TORCH[1:2] * torch)
    one_text = {"batch": 1, "spread": 1}
    return [
        *_sizes(often, tokens=SHORTER, rounds=FEW_ROUNDS, **one_text),
        *_sizes(often, tokens=LONGER, rounds=FEW_ROUNDS, **one_text),
        *_sizes(distance, tokens=SHORTER, rounds=FEW_ROUNDS, **one_text),
        *(
            what
            for tokens in (SHORTER, LONGER)
            for what in _sizes(once, tokens=tokens, rounds=1, **one_text)
            if not (what["case"] in distance and tokens == SHORTER)
        ),
    ]


def layer():
    """The layer alone: under an eager tape, and a token with the cache."""
    return [
        *_sizes(
            [f"layer {w} {n}" for n in ATTENTION_TYPES for w in ("eager", "function")],
            batch=1,
            tokens=SHORTER,
            embed_dim=64,
            rounds=1,
        ),
        *_sizes(
            [f"layer {w} {n}" for n in ATTENTION_TYPES for w in ("token", "whole")],
            batch=1,
            tokens=SHORTER,
            rounds=1,
        ),
    ]


def kernels():
    """Attention alone, on JAX and PyTorch, beside the fused one that they have."""
    backends = [name for name in ("jax", "torch") if find_spec(name)]
    return _sizes(
        [
            f"kernel {backend} {whose} {name}"
            for backend in backends
            for name in FUSED
            for whose in ("ours", "fused")
        ],
        batch=1,
        tokens=LONGER,
        rounds=FEW_ROUNDS,
    )


def _sizes(
    cases,
    batch=BATCH,
    tokens=TOKENS,
    embed_dim=EMBED_DIM,
    rounds=ROUNDS,
    **more,
):
    return [
        {
            "program": "benchmarks.measure",
            "case": case,
            "batch": batch,
            "tokens": tokens,
            "embed-dim": embed_dim,
            **more,
            "round": round_,
        }
        for round_ in range(rounds)
        for case in cases
    ]


def growth():
    """How a step grows with the tokens, a prediction too, and with the features."""
    cases = (*ATTENTION_TYPES, KERAS)
    both = [*cases, *(f"{INFERENCE} {case}" for case in cases)]
    return [
        *(
            what
            for tokens in (SHORTER, LONGER, LONGEST)
            for what in _sizes(both, 1, tokens, rounds=FEW_ROUNDS)
        ),
        *(
            what
            for embed_dim in (64, 256, 1024)
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


PLANS = {
    "steps": steps,
    "spreads": spreads,
    "lengths": lengths,
    "layer": layer,
    "kernels": kernels,
    "growth": growth,
    "pipeline": pipeline,
}
