import numpy as np
import pytest
from keras import ops

from diffattn import attend
from diffattn.data.recall import load_recall, recall_ceiling
from diffattn.studies.recall import STUDY


def one_hot(texts):
    """Texts of equally many words as vectors, one dimension for each word."""
    words = [text.split(" ") for text in texts]
    names = sorted({word for text in words for word in text})
    tokens = np.array([[names.index(word) for word in text] for text in words])
    return np.eye(len(names))[tokens], names


def answer(texts, kind):
    """What one layer with weights set by hand reads at the last token of each text."""
    x, names = one_hot(texts)
    q = x[:, None]
    # W_q = 1, W_k = −β: it attends to what followed the query token before.
    output, _ = attend(q, -50.0 * q, q, kind, scale=1.0)
    at_slot = ops.convert_to_numpy(output)[:, 0, -1]
    values = [n for n, name in enumerate(names) if name.startswith("v")]
    best = np.array(values)[at_slot[:, values].argmax(axis=1)]
    return np.array([int(names[n][1:]) for n in best])


@pytest.mark.parametrize("pairs", [4, 16, 32])
def test_weights_set_by_hand_recall_exactly(pairs):
    data = load_recall(pairs=pairs, train_sequences=10, test_sequences=4 * pairs)
    right = answer(data.test.texts, "differentialSum") == data.test.labels
    assert right.all()
    # The theorem: what is blind to order is right in one of N of these texts. Whatever
    # its weights, it gives the texts of a group, which have the same words and the
    # same query, one answer.
    blind = answer(data.test.texts, "scaled_dot_product") == data.test.labels
    assert blind.mean() == recall_ceiling(pairs) == 1 / pairs


def test_read_at_the_query_the_weights_set_by_hand_recall_nothing():
    data = load_recall(pairs=8, form="query", train_sequences=10, test_sequences=64)
    right = answer(data.test.texts, "differentialSum") == data.test.labels
    assert right.mean() < 0.5


def test_the_grids_have_all_models_and_sizes():
    configs = STUDY.grids["recall/slot-8-pairs"]
    assert len({config.label for config in configs}) * 10 == len(configs)
    assert {config.pairs for config in configs} == {8}
    (form,) = {config.data for config in STUDY.grids["recall/query-8-pairs"]}
    assert form == "recall-query"
