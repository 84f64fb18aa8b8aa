import math

import pytest

from diffattn.studies.formatting import (
    Table,
    format_interval,
    format_mean,
    format_number,
    make_title,
)
from diffattn.studies.uncertainty import estimate

TABLE = Table("Means", ["attention", "seeds"], [["none", "1.50"]], ["A note."])


def test_layouts():
    assert TABLE.format().splitlines()[0] == "Means"
    assert "|" not in TABLE.format()
    assert "| attention " in TABLE.format("pipe")
    assert TABLE._repr_markdown_().startswith("**Means**\n\n| attention ")


def test_cells_stay_as_they_are_and_notes_stand_below():
    text = TABLE.format()
    assert "1.50" in text  # not 1.5, as tabulate would have it
    assert text.endswith("\n\nA note.")


@pytest.mark.parametrize(
    ("values", "mean", "interval"),
    [
        # Student's t at 97.5% with one degree of freedom is 12.706.
        ([0.5, 0.7], "0.600 ± 1.271", "-0.671 … 1.871"),
        ([0.5], "0.500", "–"),
        ([], "–", "–"),
    ],
)
def test_an_estimate_in_words(values, mean, interval):
    assert format_mean(estimate(values), ".3f") == mean
    assert format_interval(estimate(values), ".3f") == interval


def test_a_number_or_a_dash():
    assert format_number(0.25, "+.1f") == "+0.2"
    assert format_number(math.nan, ".4f") == "–"


def test_a_title_of_a_name():
    assert make_title("mechanisms/embed-dim-64") == "mechanisms, embed dim 64"
    assert make_title("validation_loss") == "validation loss"
