"""What is asked of the six scores, and the runs that answer it."""

from dataclasses import dataclass

from diffattn.names import MODEL_TYPES
from diffattn.studies.grid import grid
from diffattn.training.config import Config


@dataclass(frozen=True)
class Study:
    """A question, and the runs that answer it.

    Attributes:
        question: what is asked, in a sentence.
        grids: dict from a folder's name under the results to the runs in it.
    """

    question: str
    grids: dict[str, list[Config]]


def _order(length, distance, seeds=10):
    """The order task, and the blind score with positional encoding as the rival."""
    task = {"data": "order", "sequence_length": length, "distance": distance}
    rival = grid(["scaled_dot_product"], seeds, positional_encoding=True, **task)
    # Seed by seed, as in a grid of one kind.
    return sorted([*grid(MODEL_TYPES, seeds, **task), *rival], key=lambda c: c.seed)


#: The studies by name.
#:
#: :meta hide-value:
STUDIES = {
    "published": Study(
        "Do the published figures lie within the spread of one model, the baseline?",
        {
            f"published/split-{split}": grid(
                ["none"],
                seeds,
                data="imdb",
                early_stopping=False,
                validation_split=split,
            )
            for split, seeds in ((0.2, 20), (0.5, 5))
        },
    ),
    "mechanisms": Study(
        "Does it matter on IMDB which score attends, or that anything attends at all?",
        {
            "mechanisms/embed-dim-64": grid(seeds=5, data="imdb", embed_dim=64),
            "mechanisms/embed-dim-512": grid(
                (
                    "scaled_dot_product",
                    "cosine_similarity",
                    "l2_norm",
                    "differentialSum",
                ),
                seeds=1,
                data="imdb",
            ),
            # Ten epochs end before the baseline has learned what it can.
            "mechanisms/baseline-40-epochs": grid(
                ["none"], seeds=5, data="imdb", epochs=40
            ),
            # With scale 0 all scores are 0 and all weights 1/T: the same layer with
            # the same parameters, but nothing in it can attend.
            "mechanisms/uniform-attention": grid(
                ["scaled_dot_product"], seeds=5, data="imdb", embed_dim=64, scale=0.0
            ),
        },
    ),
    "order": Study(
        "Which scores see the order of two tokens, and how far apart may these be?",
        {
            f"order/length-{length}-distance-{distance}": _order(length, distance)
            for length, distance in (
                (24, 1),
                (24, 2),
                (24, 4),
                (70, 1),
                (200, 1),
            )
        }
        # Two apart, or with positions in longer texts, fifteen epochs end before most
        # seeds have learned anything: is it the sight that ends, or the training?
        | {
            "order/length-24-distance-2-epochs-60": grid(
                ["differentialSum", "differential"],
                seeds=10,
                data="order",
                distance=2,
                epochs=60,
            ),
            "order/length-70-distance-1-epochs-60": grid(
                ["scaled_dot_product"],
                seeds=10,
                data="order",
                positional_encoding=True,
                sequence_length=70,
                epochs=60,
            ),
        },
    ),
    "sample": Study(
        'Which scores tell "not good, but fun" from "good, but not fun"?',
        {"sample": grid(seeds=10)},
    ),
}
