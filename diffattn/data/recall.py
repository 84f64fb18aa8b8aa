"""Associative recall: which value followed the queried key?

The task to which recall in language models is reduced: multi-query associative
recall (Arora and others, *Zoology*, 2023, arXiv:2312.04927), here with one query for
each text, and the pattern that an induction head completes (Olsson and others,
*In-context Learning and Induction Heads*, 2022, arXiv:2209.11895).
"""

from dataclasses import replace
from fractions import Fraction
from math import factorial
from typing import TYPE_CHECKING

import numpy as np

from diffattn.checks import check_choice, check_int
from diffattn.data.reviews import ReviewData, Reviews, split
from diffattn.data.texts import text_fingerprint

if TYPE_CHECKING:
    from diffattn.training.config import Config

#: "slot": the answer is read at an empty slot after the query; "query": at the query.
FORMS = ("slot", "query")

#: The number of keys, and of values, where the pairs don't need more.
FEWEST = 16

#: Texts in a test set of `load`, or a little fewer, for whole groups.
_TEST_SEQUENCES = 4096


def load_recall(
    *,
    pairs: int = 8,
    test_pairs: int | None = None,
    form: str = "slot",
    keys: int | None = None,
    values: int | None = None,
    repeat_values: bool = False,
    train_sequences: int = 60_000,
    test_sequences: int = 4_096,
    validation_split: float = 0.2,
    seed: int = 42,
) -> ReviewData:
    """Write texts of pairs (key, value) that end with one of their keys.

    A text of two pairs is "k3 v5 k1 v0 k3 slot", and its label is 5: the number of
    the value that follows the queried key. No key comes twice among a text's pairs,
    and no value does unless `repeat_values`. The answer is to be read at the text's
    last word: in the form "slot" an empty slot after the query, in the form "query"
    (the classic one, without the slot) the query itself.

    The test set consists of groups of `test_pairs` texts. The texts of a group have
    the same words and the same query; each value of theirs is the answer to one of
    them, and chance decides everything else. So what `recall_ceiling` says of models
    that are blind to order holds for this test set exactly, not only on average.

    The training and validation texts depend on `pairs`, `form`, `keys`, `values`,
    `repeat_values`, `train_sequences` and the seed alone. To test one training set
    at several lengths, give `keys` and `values` that are enough for the longest.

    Args:
        pairs: int, pairs in each training and validation text.
        test_pairs: int, pairs in each test text; `pairs` if None.
        form: "slot" or "query".
        keys: int, number of different keys, at least as many as pairs in a text; if
            None, 16 or as many as that takes.
        values: int, number of different values and of labels, at least 2, and as
            many as pairs in a text unless `repeat_values`; if None, 16 or as many as
            that takes.
        repeat_values: bool, whether a text's values are drawn independently.
        train_sequences: int, number of texts in train and validation together.
        test_sequences: int, number of texts in test, a multiple of `test_pairs`.
        validation_split: share of `train_sequences` set aside, in (0, 1).
        seed: int, of the texts and the split.

    Returns:
        A `diffattn.data.imdb.ReviewData` of the name "recall"; its labels are int32
        in [0, values).

    Raises:
        ValueError: if an argument is out of its bounds.
    """
    check_int("pairs", pairs)
    test_pairs = pairs if test_pairs is None else test_pairs
    check_int("test_pairs", test_pairs)
    check_choice("form", form, FORMS)
    longest = max(pairs, test_pairs)
    keys = max(FEWEST, longest) if keys is None else keys
    check_int("keys", keys, longest)
    fewest = 2 if repeat_values else max(2, longest)
    values = max(FEWEST, fewest) if values is None else values
    check_int("values", values, fewest)
    check_int("train_sequences", train_sequences)
    check_int("test_sequences", test_sequences)
    if test_sequences % test_pairs:
        raise ValueError(
            "test_sequences must be a multiple of test_pairs: each value of a group "
            f"is the answer once. Received: test_sequences={test_sequences}, "
            f"test_pairs={test_pairs}"
        )
    check_int("seed", seed, 0, 2**32)
    # RandomState's stream is frozen: NumPy promises never to change it.
    random = np.random.RandomState(seed)
    key_numbers = _choose(random, train_sequences, keys, pairs)
    value_numbers = _choose(random, train_sequences, values, pairs, repeat_values)
    train = _as_texts(random, key_numbers, value_numbers, form)
    groups = test_sequences // test_pairs
    key_numbers = _choose(random, groups, keys, test_pairs)
    value_numbers = _choose(random, groups, values, test_pairs, repeat_values)
    test = _as_texts(
        random,
        np.repeat(key_numbers, test_pairs, axis=0),
        _each_first(random, value_numbers),
        form,
    )
    fingerprint = text_fingerprint((train, test))
    return split("recall", train, test, validation_split, seed, fingerprint)


def recall_ceiling(
    pairs: int, *, values: int = FEWEST, repeat_values: bool = False
) -> float:
    """Compute the best accuracy on recall that any model blind to order can have.

    Such a model gives one answer to all texts with the same words and the same last
    word. The words show which keys and values there are, and which key is queried (in
    the form "slot" it's the one that comes twice). They don't show which value
    follows it: let σ permute the N places of the values. A text and its image under σ
    have the same words and the same last word, and since the values are drawn apart
    from the keys, both are equally probable. So, given the words, the answer is each
    of the N drawn values with probability 1/N, and the best guess is the value drawn
    most often: it's right with probability M/N, where M says how often that one
    comes. If no value comes twice, M = 1 and the ceiling is 1/N, for every text. If
    the values are drawn independently, it is E[M]/N on average.

    Args:
        pairs: int, number N of pairs in a text.
        values: int, number V of different values; it matters with `repeat_values` only.
        repeat_values: bool, whether a text's values are drawn independently.

    Returns:
        The accuracy, a float: exact. With repeated values, that of one finite test
        set lies around it; `order_blind_ceiling` computes it.

    Raises:
        ValueError: if a number is out of its bounds.
    """
    check_int("pairs", pairs)
    if not repeat_values:
        return 1 / pairs
    check_int("values", values, 2)
    # E[M] = Σ_m P(M > m), and P(M ≤ m) = N! / V^N times the coefficient of x^N in
    # (Σ_{j≤m} x^j / j!)^V.
    ways = Fraction(factorial(pairs), values**pairs)
    expected = sum(
        1 - ways * _power_coefficient(most, values, pairs) for most in range(pairs)
    )
    return float(expected / pairs)


def _power_coefficient(most, values, pairs):
    """The coefficient of x^pairs in (Σ_{j ≤ most} x^j / j!)^values."""
    term = [Fraction(1, factorial(j)) for j in range(most + 1)]
    power = [Fraction(1)]
    for _ in range(values):
        product = [Fraction(0)] * min(len(power) + most, pairs + 1)
        for i, a in enumerate(power):
            for j, b in enumerate(term[: len(product) - i]):
                product[i + j] += a * b
        power = product
    return power[pairs] if len(power) > pairs else Fraction(0)


def _choose(random, count, choices, size, repeat=False):
    """`count` rows of `size` numbers below `choices`, no number twice in a row."""
    if repeat:
        return random.randint(0, choices, size=(count, size))
    order = random.random_sample((count, choices)).argsort(axis=1, kind="stable")
    return order[:, :size]


def _each_first(random, values):
    """Each row once with each of its values in front, the others in random order."""
    groups, size = values.shape
    front = np.tile(np.arange(size), groups)
    rank = random.random_sample((groups * size, size))
    rank[np.arange(len(rank)), front] = -1
    order = rank.argsort(axis=1, kind="stable")
    return np.take_along_axis(np.repeat(values, size, axis=0), order, axis=1)


def _as_texts(random, keys, values, form):
    """Texts that ask for the value of the first key, with their pairs shuffled."""
    order = random.random_sample(keys.shape).argsort(axis=1, kind="stable")
    end = " slot" if form == "slot" else ""
    queries, labels = keys[:, 0], values[:, 0].astype("int32")
    rows = np.stack([keys, values], axis=-1)[np.arange(len(keys))[:, None], order]
    texts = [
        " ".join(f"k{key} v{value}" for key, value in row) + f" k{query}{end}"
        for row, query in zip(rows.tolist(), queries.tolist(), strict=True)
    ]
    return Reviews(np.array(texts, dtype=object), labels)


def load(config: "Config", progress: bool = False) -> ReviewData:
    """Load recall with the pairs and the split of a `Config`, read at an empty slot.

    There is a further test set of twice as many pairs, such as "16-pairs". Keys and
    values are as many as that takes, so that training has seen them all.
    """
    return _load(config, "recall", "slot")


def load_query(config: "Config", progress: bool = False) -> ReviewData:
    """Load recall as `load` does, but read at the query."""
    return _load(config, "recall-query", "query")


def check_recall(config: "Config") -> None:
    """Check that a `Config` reads the texts' last word, and knows all words.

    Raises:
        ValueError: if it doesn't.
    """
    slot = int(config.data == "recall")
    length = 2 * config.pairs + 1 + slot
    if config.sequence_length != length:
        raise ValueError(
            f"sequence_length must be {length} for these pairs: the last token "
            "is read. Received: "
            f"sequence_length={config.sequence_length}, pairs={config.pairs}"
        )
    # Padding and the unknown word, keys and values, and the slot.
    words = 2 + 2 * _different(config) + slot
    if config.vocabulary_size < words:
        raise ValueError(
            f"vocabulary_size must be at least {words} for these pairs. Received: "
            f"vocabulary_size={config.vocabulary_size}, pairs={config.pairs}"
        )


def _different(config):
    """The number of different keys, and of values."""
    return max(FEWEST, 2 * config.pairs)


def _load(config, name, form):
    def with_test_of(pairs):
        return load_recall(
            pairs=config.pairs,
            test_pairs=pairs,
            form=form,
            keys=_different(config),
            values=_different(config),
            test_sequences=_TEST_SEQUENCES // pairs * pairs,
            validation_split=config.validation_split,
            seed=config.split_seed,
        )

    longer = 2 * config.pairs
    tests = {f"{longer}-pairs": with_test_of(longer).test}
    return replace(with_test_of(config.pairs), name=name, tests=tests)
