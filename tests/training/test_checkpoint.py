import json
import shutil

import pytest
from training_case import SMALL, interrupt_before

from diffattn import load_run, load_sample, train
from diffattn.data import sample
from diffattn.errors import RunError
from diffattn.training import fit

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("epoch", [0, 3])
def test_a_resumed_run_ends_with_the_same_result(epoch, run, tmp_path, monkeypatch):
    with monkeypatch.context() as patch:
        interrupt_before(epoch, patch)
        with pytest.raises(KeyboardInterrupt):
            train(output=tmp_path, verbose=0, **SMALL)
    (unfinished,) = tmp_path.iterdir()
    assert unfinished.name.endswith(".unfinished")
    with pytest.raises(RunError, match="is an unfinished run: resume it with"):
        load_run(unfinished)
    resumed = train(resume=unfinished, verbose=0)
    assert resumed.history == run.history
    assert resumed.metrics == run.metrics
    assert [p.name for p in tmp_path.iterdir()] == [resumed.path.name]


def test_an_interruption_after_the_last_epoch_loses_nothing(run, tmp_path, monkeypatch):
    def interrupt(*ignored):
        raise KeyboardInterrupt

    for settings in (SMALL, {**SMALL, "early_stopping": False, "epochs": 2}):
        with monkeypatch.context() as patch:
            patch.setattr(fit, "_measure", interrupt)
            with pytest.raises(KeyboardInterrupt):
                train(output=tmp_path, verbose=0, **settings)
        (unfinished,) = tmp_path.glob("*.unfinished")
        resumed = train(resume=unfinished, verbose=0)
        uninterrupted = (
            run if settings is SMALL else train(output=tmp_path, verbose=0, **settings)
        )
        assert resumed.metrics == uninterrupted.metrics


def test_resuming_refuses_other_reviews(tmp_path, monkeypatch):
    with monkeypatch.context() as patch:
        interrupt_before(1, patch)
        with pytest.raises(KeyboardInterrupt):
            train(output=tmp_path, verbose=0, attention_type="none")
    (unfinished,) = tmp_path.iterdir()
    monkeypatch.setattr(
        sample,
        "load_sample",
        lambda **options: load_sample(order_share=0.2, **options),
    )
    with pytest.raises(RunError, match="was started with other reviews"):
        train(resume=unfinished, verbose=0)


def test_resuming_refuses_another_standardization(tmp_path, monkeypatch, small_imdb):
    """The sample is resumed all the same: its tokens are equal in both versions."""
    for source in (small_imdb, "sample"):
        settings = {"data": source, "attention_type": "none", "embed_dim": 8}
        with monkeypatch.context() as patch:
            interrupt_before(1, patch)
            with pytest.raises(KeyboardInterrupt):
                train(output=tmp_path, verbose=0, **settings)
        (unfinished,) = tmp_path.glob("*.unfinished")
        path = unfinished / "checkpoint-000001" / "state.json"
        state = json.loads(path.read_text())
        assert state.pop("standardization") == 2
        path.write_text(json.dumps(state))  # as version 1 wrote it
        if source == "sample":
            assert train(resume=unfinished, verbose=0).metrics["epochs"] > 1
        else:
            with pytest.raises(RunError, match="with standardization 1, not the curr"):
                train(resume=unfinished, verbose=0)
            shutil.rmtree(unfinished)
