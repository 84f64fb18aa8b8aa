import json

import numpy as np
import pytest

from diffattn.errors import ResultError
from diffattn.studies.marks import MODELS, fit_marks, read_marks, table_of_marks
from diffattn.training.answers import unpack_right

pytest.importorskip("sklearn")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("linear")
    fit_marks("sample", folder, strengths=(0.3,))
    return folder


def test_pairs_reach_what_words_cannot_on_the_built_in_reviews(folder):
    from diffattn.data.sample import sample_ceiling

    marks = read_marks(folder)["sample"]
    assert marks["words"]["test_accuracy"] <= sample_ceiling()
    assert marks["words and pairs"]["test_accuracy"] > sample_ceiling() + 0.05
    for mark in marks.values():
        right = unpack_right(mark["right"])
        assert mark["test_accuracy"] == pytest.approx(np.mean(right))


def test_the_table_has_a_row_for_each_data_set(folder):
    marks = read_marks(folder)
    table = table_of_marks(marks)
    expected = [f"{marks['sample'][name]['test_accuracy']:.4f}" for name in MODELS]
    assert table.rows == [["sample", *expected]]


def test_what_holds_no_marks_is_named(tmp_path):
    with pytest.raises(ResultError, match="there are no marks"):
        read_marks(tmp_path)
    (tmp_path / "other.json").write_text(json.dumps({"config": {}}))
    with pytest.raises(ResultError, match=r"other\.json holds no marks"):
        read_marks(tmp_path)
