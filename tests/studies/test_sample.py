import numpy as np
import pytest
from stored_results import store

from diffattn.data.sample import sample_ceiling
from diffattn.data.sample_variants import load_sample_variant, seen_share
from diffattn.names import MODEL_TYPES
from diffattn.studies.figures import plot_accuracies
from diffattn.studies.grid import grid
from diffattn.studies.report import report
from diffattn.studies.results import read_results
from diffattn.studies.sample import STUDY, WITH_RIVALS
from diffattn.training.answers import pack_right


def test_the_ceiling_itself_is_not_above_the_ceiling(tmp_path):
    """Metrics are float32: 0.8 is 0.800000012 there."""

    def metrics(config):
        above = config.attention_type == "differential"
        return float(np.float32(sample_ceiling() + 0.1 * above))

    store(tmp_path / "sample", grid(MODEL_TYPES, 3), metrics)
    notes = report(read_results(tmp_path))[0].notes
    assert notes[-1].endswith("Above that: differential.")


def test_each_accuracy_is_a_dot_under_the_ceiling(tmp_path):
    def metrics(config):
        failed = config.attention_type == "none" and config.seed == 2
        return "MemoryError: " if failed else 0.6 + 0.01 * config.seed

    runs = store(tmp_path, grid(["differential", "l1_norm", "none"], 3), metrics)
    (axes,) = plot_accuracies(runs, 0.75).axes
    names = [text.get_text() for text in axes.get_yticklabels()]
    # From the top: the baseline, then the scores as in the book.
    assert names == ["differential", "l1_norm", "none (baseline)"]
    dots = [group.get_offsets()[:, 0].tolist() for group in axes.collections]
    assert dots == [
        pytest.approx([0.6, 0.61, 0.62]),
        pytest.approx([0.6, 0.61, 0.62]),
        pytest.approx([0.6, 0.61]),
    ]
    assert axes.lines[-1].get_xdata() == [0.75, 0.75]


def test_variants_are_told_with_their_ceiling_and_what_training_has_seen(tmp_path):
    def right(config):
        share = 0.95 if config.attention_type == "differential" else 0.8
        bits = np.random.default_rng(config.seed).random(1000) < share
        return {"right": {"test": pack_right(bits)}}

    name = "sample-rivals/new-pairs"
    configs = [config for config in STUDY.grids[name] if config.seed < 2]
    store(tmp_path / name, configs, lambda config: 0.8, right)
    (table,) = report(read_results(tmp_path))
    assert table.rows[0][0] == "differential"
    assert len(table.rows) == len(WITH_RIVALS)
    # By the design of the data, as `load_sample_variant` says.
    assert "ceiling for models that are blind to word order is 0.800" in table.notes[-1]
    share = seen_share(load_sample_variant(new_pairs=True))
    assert f"has seen {share:.1%} of the test reviews" in table.notes[-1]
