"""From runs to what ``diffattn table`` prints and draws, study by study."""

import os
from pathlib import Path
from typing import TextIO

import pandas as pd

from diffattn.figures import save_figure
from diffattn.files import expand
from diffattn.studies import STUDIES
from diffattn.studies.formatting import Table
from diffattn.studies.study import Study
from diffattn.studies.summaries import summarize

#: What reports and draws results that belong to no study.
_NO_STUDY = Study("", "", {})


def report(runs: pd.DataFrame) -> list[Table]:
    """Make all tables that runs allow, each study's as it says.

    Args:
        runs: as `diffattn.studies.results.read_results` returns them.

    Returns:
        The list of `diffattn.studies.formatting.Table`.
    """
    tables = []
    for name, of_study in runs.groupby("study", sort=False):
        tables += STUDIES.get(name, _NO_STUDY).report(of_study)
    return tables


def draw(runs: pd.DataFrame, into: str | os.PathLike) -> list[Path]:
    """Draw the figures of runs, each study's as it says.

    Args:
        runs: as `diffattn.studies.results.read_results` returns them.
        into: the folder in which the pictures are made, as PNG.

    Returns:
        The pictures' paths.
    """
    into = expand(into)
    into.mkdir(parents=True, exist_ok=True)
    paths = []
    for name, of_study in runs.groupby("study", sort=False):
        figures = STUDIES.get(name, _NO_STUDY).figures(of_study)
        for figure_name, figure in figures.items():
            paths.append(into / f"{figure_name.replace('/', '-')}.png")
            save_figure(figure, paths[-1])
    return paths


def write_csv(runs: pd.DataFrame, file: TextIO) -> None:
    """Write all means as comma-separated values, a line for each of them.

    Args:
        runs: as `diffattn.studies.results.read_results` returns them.
        file: a text file, open for writing with ``newline=""``.
    """
    means = summarize(runs).rename(columns={"label": "attention"})
    means.to_csv(file, index=False, lineterminator="\r\n")
