import numpy as np
from stored_results import store

from diffattn.names import MODEL_TYPES
from diffattn.studies.grid import grid
from diffattn.studies.order import STUDY, plot_order
from diffattn.studies.report import report
from diffattn.studies.results import read_results


def metrics(config):
    wobble = 0.002 * (config.seed % 3 - 1)
    return (0.9 if config.attention_type == "differential" else 0.5) + wobble


def store_two_tasks(folder):
    of_all = grid(MODEL_TYPES, 6, data="order")
    store(folder / "order" / "length-24-distance-1", of_all, metrics)
    longer = grid(["differential"], 2, data="order", distance=2, epochs=60)
    store(folder / "order" / "length-24-distance-2-epochs-60", longer, metrics)
    return read_results(folder)


def test_chance_is_told_from_sight(tmp_path):
    (table,) = report(store_two_tasks(tmp_path))
    assert table.headers[1:] == ["24 tokens, 1 apart", "24 tokens, 2 apart, 60 epochs"]
    assert [row[0] for row in table.rows] == list(MODEL_TYPES)
    assert [row[0] for row in table.rows if row[1].endswith("*")] == ["differential"]
    cells = {row[0]: row[1:] for row in table.rows}
    assert cells["differential"][0].startswith("0.900 ± ")
    assert cells["none"] == [cells["l1_norm"][0], ""]
    assert table.notes[0].startswith("Test accuracy over 2 to 6 seeds: ")


def test_the_picture_has_every_mean_and_a_dash_for_what_was_not_run(tmp_path):
    axes, _ = plot_order(store_two_tasks(tmp_path)).axes
    shown = np.ma.filled(axes.images[0].get_array(), np.nan)
    place = MODEL_TYPES.index("differential")
    expected = np.full((len(MODEL_TYPES), 2), np.nan)
    expected[:, 0] = 0.5
    expected[place] = 0.9, 0.9 - 0.001
    np.testing.assert_allclose(shown, expected)
    names = [text.get_text() for text in axes.get_yticklabels()]
    assert names == list(MODEL_TYPES)


def test_all_models_and_the_rival_run_seed_by_seed():
    configs = STUDY.grids["order/length-70-distance-1"]
    assert len(configs) == 10 * (len(MODEL_TYPES) + 1)
    assert [config.seed for config in configs] == sorted(c.seed for c in configs)
    rivals = [config for config in configs if config.positional_encoding]
    assert {config.attention_type for config in rivals} == {"scaled_dot_product"}
    assert {(c.sequence_length, c.distance) for c in configs} == {(70, 1)}
