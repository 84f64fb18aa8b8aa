from stored_results import accuracy, store

from diffattn.names import MODEL_TYPES
from diffattn.studies.grid import grid
from diffattn.studies.mechanisms import STUDY
from diffattn.studies.report import report
from diffattn.studies.results import read_results


def test_the_picture_of_all_scores_has_the_studys_name(tmp_path):
    folder = tmp_path / "mechanisms"
    store(folder / "embed-dim-64", grid(MODEL_TYPES, 2), accuracy)
    store(folder / "baseline-40-epochs", grid(["none"], 2, epochs=40), accuracy)
    runs = read_results(tmp_path)
    figures = STUDY.figures(runs)
    assert sorted(figures) == ["mechanisms", "mechanisms/baseline-40-epochs"]
    axes = figures["mechanisms"].axes[0]
    names = [text.get_text() for text in axes.get_yticklabels()]
    assert names == [*MODEL_TYPES][::-1]
    titles = [table.title for table in report(runs)]
    assert titles == [
        "Mechanisms, embed dim 64",
        "Mechanisms, embed dim 64: differences",
        "Mechanisms, baseline 40 epochs",
    ]


def test_uniform_attention_differs_in_its_scale_alone():
    uniform = STUDY.grids["mechanisms/uniform-attention"]
    twins = [
        config
        for config in STUDY.grids["mechanisms/embed-dim-64"]
        if config.attention_type == "scaled_dot_product"
    ]
    for config, twin in zip(uniform, twins, strict=True):
        differing = {k for k, v in vars(config).items() if v != vars(twin)[k]}
        assert differing == {"scale"}
        assert config.scale == 0
