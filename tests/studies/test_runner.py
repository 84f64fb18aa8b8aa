"""Real grids, small; a result is the same however often its grid was stopped."""

import json
import math
import os
import re
import signal
import subprocess
import sys
import time
from dataclasses import asdict, replace
from threading import Thread

import dask
import keras
import pytest
from distributed import Client, LocalCluster
from tools import full_disk

from diffattn import load_sample, train
from diffattn.data import sample
from diffattn.errors import DataError, ResultError, RunError, UserError
from diffattn.files import hold
from diffattn.studies import runner
from diffattn.studies.grid import grid
from diffattn.studies.results import read_results, result_path
from diffattn.studies.runner import _make_ready, _tokenized, run_grid, train_one

pytestmark = pytest.mark.slow

SMALL = {"epochs": 2, "early_stopping": False}


def metrics(folder):
    return {
        path.name: json.loads(path.read_text())["metrics"]
        for path in sorted(folder.glob("*.json"))
    }


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    folder = tmp_path_factory.mktemp("results") / "small"
    run_grid(grid(["none", "l2_norm"], 2, **SMALL), folder, progress=False)
    return folder


def test_a_grid_is_trained_and_kept(results, tmp_path):
    found = read_results(results)
    assert found.groupby("label").size().to_dict() == {"l2_norm": 2, "none": 2}
    assert len(list(results.iterdir())) == 4
    run = train(
        output=tmp_path, attention_type="l2_norm", seed=1, verbose=0, **SMALL
    ).document()
    (row,) = found[(found["label"] == "l2_norm") & (found["seed"] == 1)].itertuples()
    assert asdict(row.config) == run["config"]
    assert row.history == run["history"]
    for metric, value in run["metrics"].items():
        assert getattr(row, metric) == value
    assert row.provenance["cpu_seconds"] > 0
    assert row.provenance["data"] == run["provenance"]["data"]


def test_what_is_there_is_not_trained_again_and_what_is_not_is(results):
    before = metrics(results)
    configs = grid(["none", "l2_norm"], 2, **SMALL)
    missing = result_path(configs[3], results)
    missing.unlink()
    times = {path: path.stat().st_mtime_ns for path in results.iterdir()}
    run_grid(configs, results, progress=False)
    assert metrics(results) == before
    assert {path: path.stat().st_mtime_ns for path in times} == times


def test_what_a_killed_process_left_beside_its_result_is_deleted(results):
    """It was killed between writing the one and deleting the other."""
    unfinished = results / "none-seed-1.unfinished"
    unfinished.mkdir()
    (unfinished / "run.json").write_text("{}")
    before = metrics(results)
    run_grid(grid(["none"], 2, **SMALL), results, progress=False)
    assert not unfinished.exists()
    assert metrics(results) == before


@pytest.mark.skipif(os.name != "posix", reason="other systems have no such locks")
def test_a_run_that_another_process_trains_is_left_to_it(tmp_path):
    config, unfinished = begun(tmp_path)
    with hold(unfinished), pytest.raises(RunError, match="is in use: another process"):
        run_grid([config], tmp_path, progress=False)
    assert (unfinished / "checkpoint-000001").is_dir()


def test_a_run_of_other_settings_is_emptied_settings_last(tmp_path, monkeypatch):
    """Killed halfway, what is left must not pass for the new run's."""
    _, unfinished = begun(tmp_path)
    deleted = []
    monkeypatch.setattr(runner, "delete", deleted.append)
    _make_ready(unfinished, {"config": {}}, {"fingerprint": "", "name": "sample"})
    assert deleted[-1] == unfinished / "run.json"
    assert len(deleted) == 2


def test_results_of_other_settings_are_not_mixed(results):
    of_three = {"epochs": 3, "early_stopping": False}
    with pytest.raises(ResultError, match=r"other settings \(epochs=2, not 3\)"):
        run_grid(grid(["none"], 1, **of_three), results)
    before = set(results.iterdir())
    with pytest.raises(ResultError, match=r"different settings \(epochs=2, not 3\)"):
        run_grid(grid(["l1_norm"], 1, **of_three), results)
    assert set(results.iterdir()) == before


@pytest.mark.parametrize("more", [{"epochs": 3}, {"attention_type": "none"}])
def test_two_runs_for_one_file_are_named_before_anything_is_trained(more, tmp_path):
    (config,) = grid(["none"], 1, data="nowhere")
    other = replace(config, **more)
    with pytest.raises(ResultError, match=r"2 of the runs .*none-seed-0\.json: give"):
        run_grid([config, other], tmp_path, progress=False)


def test_a_folder_that_cannot_be_made_is_told_before_the_data_are_read(tmp_path):
    (tmp_path / "file").write_text("")
    (tmp_path / "link").symlink_to("nowhere")
    configs = grid(["none"], 1, data="nowhere")
    for name in ("file", "link"):
        with pytest.raises(UserError, match=f"folder .*: .*{name} is not a writable"):
            run_grid(configs, tmp_path / name / "results", progress=False)
    with pytest.raises(DataError, match="no file or folder nowhere"):
        run_grid(configs, tmp_path / "new" / "results", progress=False)


def begun(folder):
    """A run that was broken off after its first epoch, and its unfinished folder."""

    def break_off(epoch, logs):
        if epoch == 1:
            raise KeyboardInterrupt

    (config,) = grid(["none"], 1, **SMALL)
    unfinished = folder / "none-seed-0.unfinished"
    callback = keras.callbacks.LambdaCallback(on_epoch_begin=break_off)
    with pytest.raises(KeyboardInterrupt):
        train_one(config, unfinished, [callback])
    assert (unfinished / "checkpoint-000001").is_dir()
    return config, unfinished


def test_a_full_disk_ends_the_grid_and_loses_no_epoch(results, tmp_path):
    config, unfinished = begun(tmp_path)
    refused = pytest.raises(ResultError, match=r"is not complete: .*; what was done is")
    with full_disk(100_000), refused:
        run_grid([config], tmp_path, progress=False)
    assert [path.name for path in tmp_path.iterdir()] == [unfinished.name]
    assert (unfinished / "checkpoint-000001").is_dir()
    run_grid([config], tmp_path, progress=False)
    name = "none-seed-0.json"
    assert metrics(tmp_path) == {name: metrics(results)[name]}


@pytest.mark.parametrize("file", ["variables.npz", "best.npz", "state.json"])
def test_a_damaged_checkpoint_ends_the_grid_and_stays(file, tmp_path):
    config, unfinished = begun(tmp_path)
    damaged = unfinished / "checkpoint-000001" / file
    damaged.write_bytes(damaged.read_bytes()[:-9])
    with pytest.raises(
        RunError, match=r"checkpoint-000001 is damaged: .*start the run over"
    ):
        run_grid([config], tmp_path, progress=False)
    assert [path.name for path in tmp_path.iterdir()] == [unfinished.name]
    assert damaged.exists()


def test_a_run_that_was_begun_before_a_setting_was_new_goes_on(results, tmp_path):
    """As an older version has left it: what it had no name for has its default."""
    config, unfinished = begun(tmp_path)
    document = json.loads((unfinished / "run.json").read_text())
    del document["config"]["repeats"]
    (unfinished / "run.json").write_text(json.dumps(document))
    epochs = []
    callback = keras.callbacks.LambdaCallback(
        on_epoch_begin=lambda epoch, logs: epochs.append(epoch)
    )
    result = train_one(config, unfinished, [callback])
    assert epochs == [1]
    assert result["metrics"] == metrics(results)["none-seed-0.json"]


def test_a_run_that_was_begun_with_other_reviews_begins_anew(tmp_path, monkeypatch):
    config, _ = begun(tmp_path / "begun")
    monkeypatch.setattr(
        sample, "load_sample", lambda **how: load_sample(order_share=0.2, **how)
    )
    _tokenized.cache_clear()
    for folder in ("begun", "whole"):
        run_grid([config], tmp_path / folder, progress=False)
    _tokenized.cache_clear()
    assert metrics(tmp_path / "begun") == metrics(tmp_path / "whole")


@pytest.mark.parametrize(
    "too_large",
    [
        {"embedding_dim": 2 * 10**9},  # the embeddings alone would take terabytes
        {"data": "order", "sequence_length": 10**8},  # the texts, seven terabytes
    ],
    ids=str,
)
def test_a_run_that_needs_more_memory_than_there_is_is_kept_as_failed(
    too_large, tmp_path
):
    run_grid(grid(["none"], 1, **too_large, **SMALL), tmp_path, progress=False)
    assert len(list(tmp_path.iterdir())) == 1
    (failed,) = read_results(tmp_path).itertuples()
    assert re.match("(ResourceExhausted|Memory)Error: ", failed.error)
    assert math.isnan(failed.test_loss)


def test_a_run_that_diverges_is_kept_as_failed(tmp_path):
    run_grid(grid(["none"], 1, learning_rate=1e38, **SMALL), tmp_path, progress=False)
    (failed,) = read_results(tmp_path).itertuples()
    assert failed.error.startswith("DivergenceError: the training diverged: loss is")
    assert math.isnan(failed.test_loss)
    command = "diffattn train --data sample --attention-type none --learning-rate 1e+38"
    assert failed.provenance["command"] == [
        *command.split(),
        *["--epochs", "2", "--no-early-stopping"],
    ]


@pytest.mark.skipif(os.name != "posix", reason="sends a POSIX signal")
def test_a_stopped_grid_goes_on_in_the_middle_of_a_run(tmp_path):
    command = [
        sys.executable,
        "-m",
        "diffattn",
        "table",
        "--into",
        tmp_path / "stopped",
    ]
    command += ["--attention-types=none", "--seeds=1", "--epochs=12"]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    unfinished = tmp_path / "stopped" / "none-seed-0.unfinished"
    while not list(unfinished.glob("checkpoint-*[0-9]")):
        assert process.poll() is None
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate()
    assert process.returncode == 130
    assert "Traceback" not in err
    assert "interrupted; repeat the command to continue" in err
    assert unfinished.exists()
    assert not (tmp_path / "stopped" / "none-seed-0.json").exists()
    configs = grid(["none"], 1, epochs=12)
    run_grid(configs, tmp_path / "stopped", progress=False)
    run_grid(configs, tmp_path / "whole", progress=False)
    assert metrics(tmp_path / "stopped") == metrics(tmp_path / "whole")
    assert not unfinished.exists()


def kill_at_work(victim, folder):
    """A thread that kills a process as soon as the first result is there."""

    def kill():
        while not list(folder.glob("*.json")):
            time.sleep(0.05)
        os.kill(victim, signal.SIGKILL)

    killer = Thread(target=kill)
    killer.start()
    return killer


@pytest.mark.cluster
@pytest.mark.weekly
def test_a_killed_worker_loses_no_run_and_counts_none_twice(tmp_path):
    """A real scheduler and two worker processes, one of them killed at its work."""
    configs = grid(["none", "l2_norm"], 3, **SMALL)
    with (
        LocalCluster(
            n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None
        ) as cluster,
        Client(cluster) as client,
    ):
        victim = next(iter(client.run(os.getpid).values()))

        killer = kill_at_work(victim, tmp_path)
        address = cluster.scheduler_address
        run_grid(configs, tmp_path, cluster=address, progress=False)
        killer.join()
        assert victim not in client.run(os.getpid).values()
    names = sorted(path.name for path in tmp_path.iterdir())
    assert names == sorted(result_path(config, ".").name for config in configs)
    assert read_results(tmp_path)["error"].isna().all()


@pytest.mark.cluster
def test_a_cluster_gives_what_one_machine_gives(results, tmp_path):
    with LocalCluster(
        n_workers=1, threads_per_worker=1, processes=True, dashboard_address=None
    ) as cluster:
        configs = grid(["none", "l2_norm"], 2, **SMALL)
        run_grid(configs, tmp_path, cluster=cluster.scheduler_address, progress=False)
    assert metrics(tmp_path) == metrics(results)


def test_a_finished_grid_needs_no_cluster(results):
    before = metrics(results)
    run_grid(grid(["none"], 2, **SMALL), results, cluster="tcp://127.0.0.1:9")
    assert metrics(results) == before


@pytest.mark.cluster
def test_a_scheduler_that_dies_is_told_in_one_line(tmp_path):
    configs, address = grid(["none"], 3, **SMALL), tmp_path / "scheduler.json"
    common = ["--scheduler-file", address, "--no-dashboard"]
    how = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    of_scheduler = ["scheduler", "--port", "0", *common]
    of_worker = ["worker", "--nthreads", "1", "--no-nanny", *common]
    command = [sys.executable, "-m", "dask"]
    with (
        subprocess.Popen([*command, *of_scheduler], **how) as scheduler,
        subprocess.Popen([*command, *of_worker], **how) as worker,
    ):
        while not address.exists():
            time.sleep(0.05)
        url = json.loads(address.read_text())["address"]
        killer = kill_at_work(scheduler.pid, tmp_path / "results")
        with pytest.raises(ResultError, match=r"the scheduler at tcp.* any more"):
            run_grid(configs, tmp_path / "results", cluster=url, progress=False)
        killer.join()
        worker.kill()
    assert 1 <= len(metrics(tmp_path / "results")) < 3


def test_no_scheduler_is_told_in_one_line(tmp_path):
    with (
        dask.config.set({"distributed.comm.timeouts.connect": "1s"}),
        pytest.raises(ResultError, match="no scheduler answers at tcp://127"),
    ):
        run_grid(grid(["none"], 1), tmp_path, cluster="tcp://127.0.0.1:9")
