"""Labelled texts: the data sets, and how text becomes tokens.

A data set is a module of this package and an entry in `DATASETS`.
"""

from diffattn.checks import check_int
from diffattn.data.datasets import Dataset

# The data sets' own modules are imported when they are needed: --help is fast.


def _check_order(config):
    """See that the pairs have room in a sequence."""
    from diffattn.data.order import check_room

    check_room(
        "sequence_length", config.sequence_length, config.distance, config.repeats
    )


def _check_lengths(config):
    """See that the pairs have room in the shortest sequences, too."""
    from diffattn.data.order import LENGTHS, check_room

    _check_order(config)
    check_room(
        "length of the shortest test", min(LENGTHS), config.distance, config.repeats
    )


def _check_recall(config):
    from diffattn.data.recall import check_recall

    check_recall(config)


def _check_sentences(config):
    """See that the swapped words are in a sentence, and are read."""
    from diffattn.data.sentences import MAX_WORDS, MIN_WORDS

    check_int("sequence_length", config.sequence_length, MAX_WORDS)
    check_int("distance", config.distance, 1, MIN_WORDS)


_SAMPLE = {
    "embed_dim": 32,
    "num_heads": 4,
    "sequence_length": 32,
    "mask_padding": True,
    "learning_rate": 0.003,
    "patience": 3,
}
_ORDER = {
    "embed_dim": 64,
    "num_heads": 4,
    "vocabulary_size": 21,
    "sequence_length": 24,
    "epochs": 15,
    "early_stopping": False,
}
_RECALL = {
    "embed_dim": 64,
    "num_heads": 4,
    "vocabulary_size": 256,
    "sequence_length": 18,
    "embedding_dim": 64,
    "embedding_spread": 0.3,
    "dropout": 0.0,
    "batch_size": 128,
    "learning_rate": 0.002,
    "epochs": 6,
    "early_stopping": False,
}

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
            settings=_SAMPLE,
        ),
        Dataset(
            "sample-new-pairs",
            "the same, tested on pairs of adjectives that training lacks",
            "diffattn.data.sample_variants:load_new_pairs",
            settings=_SAMPLE,
        ),
        Dataset(
            "sample-adverb",
            "the same, with an adverb before each adjective",
            "diffattn.data.sample_variants:load_adverb",
            settings=_SAMPLE,
        ),
        Dataset(
            "order",
            "which of two tokens comes first",
            "diffattn.data.order:load",
            settings=_ORDER,
            check=_check_order,
        ),
        Dataset(
            "order-lengths",
            "order, tested at 24 to 800 tokens as well",
            "diffattn.data.order:load_lengths",
            settings={**_ORDER, "epochs": 8},
            check=_check_lengths,
        ),
        Dataset(
            "recall",
            "which value followed a key, answered at an empty slot",
            "diffattn.data.recall:load",
            settings=_RECALL,
            check=_check_recall,
            task="recall",
        ),
        Dataset(
            "recall-query",
            "the same, answered at the key",
            "diffattn.data.recall:load_query",
            settings={**_RECALL, "sequence_length": 17},
            check=_check_recall,
            task="recall",
        ),
        Dataset("imdb", "downloaded once", "diffattn.data.imdb:load"),
        Dataset(
            "imdb-shuffled",
            "the same reviews with their words shuffled",
            "diffattn.data.shuffled:load",
        ),
        Dataset(
            "sentences",
            "sentences of them, as written or with two words swapped",
            "diffattn.data.sentences:load",
            settings={
                "embed_dim": 64,
                "sequence_length": 25,
                "embedding_dim": 64,
                "embedding_spread": 0.5,
                "mask_padding": True,
                "batch_size": 128,
                "learning_rate": 0.002,
                "epochs": 6,
                # All of them: some models see nothing for epochs, and then do.
                "patience": 6,
            },
            check=_check_sentences,
        ),
    )
}
