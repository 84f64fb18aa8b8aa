import hashlib

import numpy as np
import pytest

from diffattn.data.reviews import Reviews, split, split_generated
from diffattn.errors import DataError


def reviews(count, prefix="r"):
    texts = np.array([f"{prefix}{n}" for n in range(count)], dtype=object)
    return Reviews(texts, np.arange(count, dtype="int32") % 2)


def test_each_training_review_is_in_one_part_and_keeps_its_label():
    train, test = reviews(10), reviews(4, "t")
    data = split("made", train, test, 0.3, 7, "f")
    assert (len(data.train), len(data.validation)) == (7, 3)
    both = [*data.train.texts, *data.validation.texts]
    assert sorted(both) == sorted(train.texts)
    labels = [*data.train.labels, *data.validation.labels]
    assert all(int(t[1:]) % 2 == n for t, n in zip(both, labels, strict=True))
    assert data.test is test
    # As Keras: a shuffle of NumPy's frozen stream, the last share for validation.
    order = np.random.RandomState(7).permutation(10)
    assert list(data.validation.texts) == [f"r{n}" for n in order[7:]]


def test_what_is_described():
    data = split_generated("made", reviews(10), reviews(4, "t"), 0.3, 7)
    kinds = (("r", 10), ("t", 4))
    lines = [f"{n % 2} {kind}{n}\n" for kind, count in kinds for n in range(count)]
    expected = hashlib.sha256("".join(lines).encode()).hexdigest()
    assert data.describe() == {
        "name": "made", "fingerprint": expected,
        "train": 7, "validation": 3, "test": 4,
    }  # fmt: skip


@pytest.mark.parametrize("share", [0.01, 0.999])
def test_a_split_that_leaves_a_part_empty_is_an_error(share):
    if int(share * 10) == 0:
        with pytest.raises(DataError, match="leaves none"):
            split("made", reviews(10), reviews(4), share, 0, "f")
    else:
        assert len(split("made", reviews(10), reviews(4), share, 0, "f").train) == 1
