"""The entries of DATASETS, and the settings that they take or refuse."""

from types import SimpleNamespace

import pytest

from diffattn.data import recall, sentences, shuffled
from diffattn.data.recall import load_recall
from diffattn.training.config import Config


@pytest.mark.parametrize("data", ["recall", "recall-query"])
@pytest.mark.parametrize("pairs", [5, 9])
def test_recall_is_tested_at_twice_the_pairs_too(data, pairs):
    slot = data == "recall"
    length = 2 * pairs + 1 + slot
    config = Config(data=data, pairs=pairs, sequence_length=length)
    assert config.for_data().pairs == pairs
    found = (recall.load if slot else recall.load_query)(config)
    how = {"pairs": pairs, "form": "slot" if slot else "query"}
    different = max(16, 2 * pairs)
    how |= {"keys": different, "values": different, "test_sequences": 20 * pairs}
    plain = load_recall(**how)
    assert found.name == data
    assert found.train.texts.tolist() == plain.train.texts.tolist()
    assert {len(text.split()) for text in found.test.texts} == {length}
    (name,) = found.tests
    assert name == f"{2 * pairs}-pairs"
    longer = found.tests[name]
    assert {len(text.split()) for text in longer.texts} == {length + 2 * pairs}
    known = {word for text in found.train.texts for word in text.split()}
    assert known.issuperset(word for text in longer.texts for word in text.split())
    assert config.vocabulary_size >= len(known) + 2
    assert set(longer.labels) <= set(found.train.labels) == set(range(different))
    for text, label in zip(longer.texts[:200], longer.labels, strict=False):
        words = text.split()
        query = words[-2] if slot else words[-1]
        assert words[words.index(query) + 1] == f"v{label}"


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"data": "recall", "pairs": 4}, "sequence_length must be 10 .*=18, pairs=4"),
        ({"data": "recall-query", "sequence_length": 18}, "sequence_length must be 17"),
        (
            {"data": "recall", "vocabulary_size": 34},
            "vocabulary_size must be at least 35 .*vocabulary_size=34, pairs=8",
        ),
        ({"data": "recall-query", "vocabulary_size": 33}, "vocabulary.* least 34 "),
        ({"data": "sentences", "sequence_length": 24}, "sequence_length must be"),
        ({"data": "sentences", "distance": 8}, "distance must be .*distance=8"),
        ({"pairs": 0}, "pairs must be a positive integer.*pairs=0"),
    ],
)
def test_settings_that_do_not_fit_the_data_are_named(settings, message):
    with pytest.raises(ValueError, match=message):
        Config(**settings)


@pytest.mark.parametrize(
    ("module", "loader", "own"),
    [
        (sentences, "load_sentences", {"distance": 3}),
        (shuffled, "load_shuffled", {"sequence_length": 40}),
    ],
)
def test_what_comes_from_imdb_is_loaded_as_configured(monkeypatch, module, loader, own):
    monkeypatch.setattr(module, loader, lambda **how: how)
    config = SimpleNamespace(
        distance=3, sequence_length=40, validation_split=0.3, split_seed=7
    )
    expected = {"validation_split": 0.3, "seed": 7, "progress": True, **own}
    assert module.load(config, progress=True) == expected
