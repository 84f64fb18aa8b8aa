import itertools

import pytest
from data_case import release_reviews
from training_case import SIGNS, SMALL

from diffattn import train


@pytest.fixture(scope="session")
def run(tmp_path_factory):
    """One trained run, which the tests read and never change."""
    return train(output=tmp_path_factory.mktemp("runs"), verbose=0, **SMALL)


@pytest.fixture
def small_imdb(tmp_path_factory, monkeypatch):
    """A folder like aclImdb, with `SIGNS` within, between and around the words."""
    words = {"pos": ["good", "fun", "warm"], "neg": ["bad", "dull", "cold"]}
    folders = {
        f"{part}/{kind}": {
            f"{i}_1.txt": f"{sign}{a}{sign}{b} {sign} film{sign}".encode()
            for i, (sign, a, b) in enumerate(itertools.product(SIGNS, of_kind, of_kind))
        }
        for part in ("train", "test")
        for kind, of_kind in words.items()
    }
    folder = tmp_path_factory.mktemp("aclImdb")
    return str(release_reviews(monkeypatch, folder, folders))
