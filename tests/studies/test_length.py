import pytest
from stored_results import store

from diffattn.errors import ResultError
from diffattn.studies.length import GRID, STUDY
from diffattn.studies.models import DIFFERENCE
from diffattn.studies.results import read_results

LENGTHS = (24, 200, 800)


def stored(folder):
    def tests(config):
        holds = config.attention_type == DIFFERENCE
        accuracies = {n: 1.0 if holds or n == 24 else 0.5 for n in LENGTHS}
        return {
            "tests": {
                str(n): {"loss": 0.1, "accuracy": accuracy}
                for n, accuracy in accuracies.items()
            }
        }

    configs = [config for config in STUDY.grids[GRID] if config.seed < 4]
    store(folder / GRID, configs, lambda config: 0.9, tests)
    return read_results(folder)


def test_runs_that_see_are_counted_at_each_length(tmp_path):
    (table,) = STUDY.report(stored(tmp_path))
    assert table.headers == ["model", "24 tokens", "200 tokens", "800 tokens"]
    cells = {row[0]: [cell.split(" (")[0] for cell in row[1:]] for row in table.rows}
    assert len(cells) == 7
    assert cells.pop(DIFFERENCE) == ["4 of 4"] * 3
    assert all(cell == ["4 of 4", "0 of 4", "0 of 4"] for cell in cells.values())


def test_the_picture_has_a_panel_for_each_model_and_a_line_for_each_run(tmp_path):
    figure = STUDY.figures(stored(tmp_path))["length"]
    panels = {axes.get_title().split("\n")[0]: axes for axes in figure.axes[:7]}
    lines = panels[DIFFERENCE].lines
    assert len(lines) == 4 + 1
    assert lines[-1].get_xdata().tolist() == list(LENGTHS)
    assert lines[-1].get_ydata().tolist() == [1.0, 1.0, 1.0]


def test_a_test_set_without_a_length_is_named(tmp_path):
    runs = stored(tmp_path)
    for tests in runs["tests"]:
        tests["long"] = tests["24"]
    with pytest.raises(ResultError, match="'long'"):
        STUDY.figures(runs)
