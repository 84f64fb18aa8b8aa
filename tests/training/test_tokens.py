import numpy as np

from diffattn import Config, load_sample
from diffattn.training.tokens import tokenize


def test_each_part_is_tokenized_as_the_configuration_says():
    config = Config(
        validation_split=0.5, split_seed=3, vocabulary_size=20, sequence_length=4
    )
    tokenized = tokenize(config)
    reviews = load_sample(validation_split=0.5, seed=3)
    assert tokenized.description == reviews.describe()
    assert len(reviews.validation) == 2500
    assert tokenized.task.name == "sentiment"
    assert len(tokenized.vectorizer.get_vocabulary()) == 20
    for part in ("train", "validation", "test"):
        tokens, labels = getattr(tokenized, part)
        expected = getattr(reviews, part)
        np.testing.assert_array_equal(labels, expected.labels)
        assert tokens.shape == (len(labels), 4)
        some = slice(0, 50)
        np.testing.assert_array_equal(
            tokens[some], tokenized.vectorizer(list(expected.texts[some]))
        )
