import pytest
from stored_results import store

from diffattn.studies.onset import EPOCHS, LENGTHS, STUDY, fits, onsets
from diffattn.studies.results import read_results


def history(config):
    """Sight begins after length²/100 epochs, and sooner by as much as it repeats."""
    begins = round(config.sequence_length**2 / 200 / config.repeats) + config.seed
    epochs = range(1, EPOCHS + 1)
    accuracy = [0.5 + 0.5 * (epoch >= begins) for epoch in epochs]
    losses = dict.fromkeys(("loss", "val_loss"), [0.1] * EPOCHS)
    return {"history": {**losses, "val_accuracy": accuracy}}


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("results")
    for name, configs in STUDY.grids.items():
        store(folder / name, [c for c in configs if c.seed < 3], lambda c: 0.9, history)
    return read_results(folder)


def test_onsets_are_found_or_censored(runs):
    frame = onsets(runs)
    of_length = frame[frame["repeats"] == 1].groupby("length")
    assert of_length["epoch"].min().to_dict() == {24: 3, 50: 12, 100: 50, 200: EPOCHS}
    assert of_length["censored"].sum().to_dict() == {24: 0, 50: 0, 100: 0, 200: 3}


def test_the_power_laws_are_those_of_the_runs(runs):
    laws = fits(onsets(runs))
    assert laws["length"].low < 2 < laws["length"].high + 0.3
    assert laws["length"].censored == 3
    assert laws["repeats"].exponent == pytest.approx(-1, abs=0.2)


def test_the_table_has_a_row_for_each_task(runs):
    (table,) = STUDY.report(runs)
    assert [row[0] for row in table.rows] == ["24", "50", *["100"] * 4, "200"]
    assert table.rows[0][2:] == ["3 of 3", "4", "3 to 5"]
    assert table.rows[-1][2:] == ["0 of 3", "–", "–"]
    assert "∝ length^" in table.notes[1]


def test_the_picture_has_each_run_and_both_fits(runs):
    length, repeats = STUDY.figures(runs)["onset"].axes
    dots = sum(len(group.get_offsets()) for group in length.collections)
    assert dots == 3 * len(LENGTHS)
    assert len(length.lines) == len(repeats.lines) == 1
