import pandas as pd

from diffattn.studies.seeing import onset, table_of_seeing


def test_runs_that_see_are_counted_by_model_and_column():
    frame = pd.DataFrame(
        {
            "label": ["a"] * 4 + ["b"] * 2,
            "test": ["24", "24", "800", "800", "24", "24"],
            "accuracy": [1.0, 0.9, 0.5, 0.95, 0.5, 0.6],
        }
    )
    table = table_of_seeing("Sight", frame, "test")
    assert table.headers == ["model", "24", "800"]
    # The intervals are those of Clopper and Pearson, from their tables.
    assert table.rows == [
        [
            "a",
            "2 of 2 (0.16 to 1.00), median 0.950",
            "1 of 2 (0.01 to 0.99), median 0.725",
        ],
        ["b", "0 of 2 (0.00 to 0.84), median 0.550", ""],
    ]


def test_the_onset_is_the_first_epoch_that_sees():
    assert onset({"val_accuracy": [0.5, 0.89, 0.9, 0.7]}) == (3, False)
    assert onset({"val_accuracy": [0.5, 0.6]}) == (2, True)
    assert onset({"val_accuracy": [0.5, 0.6]}, sees=0.6) == (2, False)
