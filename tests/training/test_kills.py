"""Training that is killed at any moment, by a signal that nothing can catch."""

import json
import os
import random
import subprocess
import sys
import time
from pathlib import Path
from tempfile import mkdtemp

import pytest
from hypothesis import settings

from diffattn import train
from diffattn.studies.grid import grid
from diffattn.studies.results import read_folder
from diffattn.studies.runner import run_grid

pytestmark = [
    pytest.mark.campaign,
    pytest.mark.slow,
    pytest.mark.skipif(os.name != "posix", reason="kills a process as POSIX does"),
]

#: So often is a training killed, and a study; `make campaigns` has the longer profile.
IS_LONG = settings.default.max_examples > 100
KILLS, STUDY_KILLS = (50, 20) if IS_LONG else (1, 1)
#: Of the moments, which are others in every campaign.
SEED = time.time_ns() % 2**32 if IS_LONG else 0
EPOCHS = 30


def start(folder, *command):
    return subprocess.Popen(
        [sys.executable, "-m", "diffattn", *command],
        cwd=folder,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )


def files(folder):
    """The paths in a folder; unlike rglob, not disturbed by those that vanish."""
    return {
        os.path.join(path, name)
        for path, folders, names in os.walk(folder)
        for name in folders + names
    }


def kill_at_work(process, folder, most):
    """Kill a process within `most` seconds after it has made a file.

    Returns:
        Whether it was killed before its end.
    """
    before = files(folder)
    while files(folder) <= before and process.poll() is None:
        time.sleep(0.005)
    time.sleep(random.uniform(0, most))
    process.kill()
    process.communicate()
    return process.returncode != 0


def test_a_run_that_is_killed_ends_as_if_it_had_not_been(tmp_path, record_property):
    command = ["train", "--attention-type=none", f"--epochs={EPOCHS}", "--patience=30"]
    whole = train(
        output=tmp_path / "whole",
        attention_type="none",
        epochs=EPOCHS,
        patience=30,
        verbose=0,
    )
    random.seed(SEED)
    kills = 0
    for number in range(KILLS):
        folder = tmp_path / f"{number}"
        folder.mkdir()
        was_killed = kill_at_work(start(folder, *command), folder, most=2.0)
        kills += was_killed
        begun = list((folder / "runs").iterdir())
        if not begun:
            continue  # killed before there was anything to lose
        (path,) = begun
        is_unfinished = path.name.endswith(".unfinished")
        assert was_killed or not is_unfinished
        if is_unfinished:
            kills += kill_at_work(
                start(folder, "train", "--resume", path), folder, most=2.0
            )
            (path,) = (folder / "runs").iterdir()
        if path.name.endswith(".unfinished"):
            path = train(resume=path, verbose=0).path
        document = json.loads((path / "run.json").read_text())
        assert document["metrics"] == whole.metrics
        assert [p.name for p in (folder / "runs").iterdir()] == [path.name]
        assert sorted(p.name for p in path.iterdir()) == sorted(
            p.name for p in whole.path.iterdir()
        )
    record_property("kills", kills)
    record_property("seed", SEED)


def metrics(folder):
    return {config.label: result["metrics"] for config, result in read_folder(folder)}


def test_a_study_that_is_killed_again_and_again_ends_with_the_same_table(
    tmp_path, record_property
):
    command = ["table", "--attention-types=none,l2_norm", "--seeds=1", "--epochs=6"]
    whole = tmp_path / "whole"
    run_grid(grid(["none", "l2_norm"], 1, epochs=6), whole, progress=False)
    random.seed(SEED)
    kills = 0
    while kills < STUDY_KILLS:
        folder = Path(mkdtemp(dir=tmp_path))
        while kill_at_work(start(folder, *command), folder, most=2.0):
            kills += 1
        assert metrics(folder / "table") == metrics(whole)
        assert sorted(p.name for p in (folder / "table").iterdir()) == sorted(
            p.name for p in whole.iterdir()
        )
    record_property("kills", kills)
    record_property("seed", SEED)
