"""Labelled texts: the data sets, and how text becomes tokens.

A data set is a module of this package and an entry in `DATASETS`.
"""

from diffattn.checks import check_int
from diffattn.data.datasets import Dataset


def _check_order(config):
    """See that the two tokens have room in a sequence."""
    check_int("sequence_length", config.sequence_length, 2)
    check_int("distance", config.distance, 1, config.sequence_length)


#: The data sets by name.
#:
#: :meta hide-value:
DATASETS: dict[str, Dataset] = {
    dataset.name: dataset
    for dataset in (
        Dataset(
            "sample",
            "built-in reviews",
            "diffattn.data.sample:load",
            settings={
                "embed_dim": 32,
                "num_heads": 4,
                "sequence_length": 32,
                "mask_padding": True,
                "learning_rate": 0.003,
                "patience": 3,
            },
        ),
        Dataset(
            "order",
            "which of two tokens comes first",
            "diffattn.data.order:load",
            settings={
                "embed_dim": 64,
                "num_heads": 4,
                "vocabulary_size": 21,
                "sequence_length": 24,
                "epochs": 15,
                "early_stopping": False,
            },
            check=_check_order,
        ),
        Dataset("imdb", "downloaded once", "diffattn.data.imdb:load"),
    )
}
