"""Real grids, small; a result is the same however often its grid was stopped."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from threading import Thread

import pytest
from distributed import Client, LocalCluster

from diffattn import train
from diffattn.config import grid
from diffattn.results import ResultError, read_results, result_path
from diffattn.study import run_grid

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
    assert {label: len(runs) for label, runs in found.items()} == {
        "l2_norm": 2,
        "none": 2,
    }
    assert len(list(results.iterdir())) == 4
    run = train(
        output=tmp_path, attention_type="l2_norm", seed=1, verbose=0, **SMALL
    ).document()
    (kept,) = (r for r in found["l2_norm"] if r["config"]["seed"] == 1)
    for part in ("config", "history", "metrics"):
        assert kept[part] == run[part]
    assert kept["provenance"]["cpu_seconds"] > 0
    assert kept["provenance"]["data"] == run["provenance"]["data"]


def test_what_is_there_is_not_trained_again_and_what_is_not_is(results):
    before = metrics(results)
    configs = grid(["none", "l2_norm"], 2, **SMALL)
    missing = result_path(configs[3], results)
    missing.unlink()
    times = {path: path.stat().st_mtime_ns for path in results.iterdir()}
    run_grid(configs, results, progress=False)
    assert metrics(results) == before
    assert {path: path.stat().st_mtime_ns for path in times} == times


def test_results_of_other_settings_are_not_mixed(results):
    with pytest.raises(ResultError, match=r"other settings \(epochs=2, now 3\)"):
        run_grid(grid(["none"], 1, epochs=3, early_stopping=False), results)


def test_a_run_that_diverges_is_kept_as_failed(tmp_path):
    run_grid(grid(["none"], 1, learning_rate=1e38, **SMALL), tmp_path, progress=False)
    (failed,) = read_results(tmp_path)["none"]
    assert failed["error"].startswith("DivergenceError: the training diverged: loss is")
    assert "metrics" not in failed
    assert failed["provenance"]["command"][-1] != "none"


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
    assert "interrupted; the same command goes on" in err
    assert unfinished.exists()
    assert not (tmp_path / "stopped" / "none-seed-0.json").exists()
    configs = grid(["none"], 1, epochs=12)
    run_grid(configs, tmp_path / "stopped", progress=False)
    run_grid(configs, tmp_path / "whole", progress=False)
    assert metrics(tmp_path / "stopped") == metrics(tmp_path / "whole")
    assert not unfinished.exists()


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

        def kill_at_work():
            while not list(tmp_path.glob("*.json")):
                time.sleep(0.05)
            os.kill(victim, signal.SIGKILL)

        killer = Thread(target=kill_at_work)
        killer.start()
        address = cluster.scheduler_address
        run_grid(configs, tmp_path, cluster=address, progress=False)
        killer.join()
        assert victim not in client.run(os.getpid).values()
    names = sorted(path.name for path in tmp_path.iterdir())
    assert names == sorted(result_path(config, ".").name for config in configs)
    assert not any("error" in r for rs in read_results(tmp_path).values() for r in rs)


def test_a_cluster_gives_what_one_machine_gives(results, tmp_path):
    with LocalCluster(
        n_workers=1, threads_per_worker=1, processes=True, dashboard_address=None
    ) as cluster:
        configs = grid(["none", "l2_norm"], 2, **SMALL)
        run_grid(configs, tmp_path, cluster=cluster.scheduler_address, progress=False)
    assert metrics(tmp_path) == metrics(results)


def test_no_scheduler_is_told_in_one_line(tmp_path):
    with pytest.raises(ResultError, match="no scheduler answers at tcp://127"):
        run_grid(grid(["none"], 1), tmp_path, cluster="tcp://127.0.0.1:9")


@pytest.mark.parametrize("content", ["{", "[]", "{}", '{"config": {"speed": 1}}'])
def test_a_file_that_is_no_result(tmp_path, content):
    (tmp_path / "none-seed-0.json").write_text(content)
    with pytest.raises(
        ResultError, match=re.escape("none-seed-0.json is not a result")
    ):
        read_results(tmp_path)
