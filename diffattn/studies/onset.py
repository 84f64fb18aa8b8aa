"""The study of onset: when does sight come, and what makes it come sooner?"""

from typing import TYPE_CHECKING

from diffattn.studies.grid import grid
from diffattn.studies.models import DIFFERENCE
from diffattn.studies.seeing import SEES
from diffattn.studies.study import Study

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from pandas import DataFrame

    from diffattn.studies.formatting import Table
    from diffattn.studies.statistics import PowerLaw

EPOCHS = 60
LENGTHS = (24, 50, 100, 200)
#: How often the deciding pair stands in a text of `REPEATED_LENGTH` tokens.
REPEATS = (1, 2, 4, 8)
REPEATED_LENGTH = 100

_GRIDS = {
    f"onset/length-{length}-repeats-{repeats}": grid(
        [DIFFERENCE],
        seeds=10,
        data="order",
        sequence_length=length,
        repeats=repeats,
        epochs=EPOCHS,
        target_accuracy=SEES,
    )
    for length, repeats in sorted(
        {(length, 1) for length in LENGTHS} | {(REPEATED_LENGTH, n) for n in REPEATS}
    )
}


def onsets(runs: "DataFrame") -> "DataFrame":
    """List the epoch in which each run begins to see.

    Args:
        runs: the study's, as `diffattn.studies.results.read_results` returns them.

    Returns:
        A `pandas.DataFrame` with the columns ``length``, ``repeats``, ``seed``,
        ``epoch`` and ``censored``: whether it has not begun by that epoch, its last.
    """
    import pandas as pd

    from diffattn.studies.seeing import onset

    rows = [
        (
            run.config.sequence_length,
            run.config.repeats,
            run.seed,
            *onset(run.history),
        )
        for run in runs.itertuples()
        if isinstance(run.history, dict)
    ]
    columns = ["length", "repeats", "seed", "epoch", "censored"]
    return pd.DataFrame(rows, columns=columns)


def _parts(onset_frame):
    """The runs of each panel and fit: what varies, with the other held fixed."""
    return {
        "length": onset_frame[onset_frame["repeats"] == 1],
        "repeats": onset_frame[onset_frame["length"] == REPEATED_LENGTH],
    }


def fits(onset_frame: "DataFrame") -> "dict[str, PowerLaw]":
    """Fit a power law of the onset in the length, and one in the repeats.

    Args:
        onset_frame: as `onsets` returns it.

    Returns:
        A dict from "length" and "repeats" to the fits, as
        `diffattn.studies.statistics.PowerLaw`; without what has too few runs.
    """
    from diffattn.studies.statistics import fit_power_law

    found = {}
    for name, part in _parts(onset_frame).items():
        seen = part[~part["censored"]]
        if len(seen) >= 3 and seen[name].nunique() >= 2:
            found[name] = fit_power_law(
                part[name], part["epoch"], part["censored"].to_numpy(bool)
            )
    return found


def report(runs: "DataFrame") -> "list[Table]":
    """Report the epochs of onset and the fitted power laws.

    Args:
        runs: the study's, as `diffattn.studies.results.read_results` returns them.

    Returns:
        A list of one `diffattn.studies.formatting.Table`.
    """
    from diffattn.studies.formatting import Table

    frame = onsets(runs)
    rows = []
    for (length, repeats), part in frame.groupby(["length", "repeats"]):
        seen = part[~part["censored"]]["epoch"]
        rows.append(
            [
                str(length),
                str(repeats),
                f"{len(seen)} of {len(part)}",
                f"{seen.median():g}" if len(seen) else "–",
                f"{seen.min()} to {seen.max()}" if len(seen) else "–",
            ]
        )
    notes = [
        f"{DIFFERENCE}; onset is the first epoch with a validation accuracy of {SEES}, "
        f"among {EPOCHS}. A run without one counts in the fit as later than its last."
    ]
    notes += [
        f"Epoch of onset ∝ {name}^{law.exponent:.2f} (95% interval {law.low:.2f} to "
        f"{law.high:.2f}; {law.count} runs, {law.censored} of them without an onset)."
        for name, law in fits(frame).items()
    ]
    headers = ["tokens", "pairs", "runs that see", "median onset", "earliest to latest"]
    return [Table("Onset: the epoch in which sight begins", headers, rows, notes)]


def draw(runs: "DataFrame") -> "dict[str, Figure]":
    """Draw the onsets against length and repeats, with the fitted lines.

    Args:
        runs: the study's, as `diffattn.studies.results.read_results` returns them.

    Returns:
        A dict from "onset" to the `matplotlib.figure.Figure`.
    """
    from diffattn.studies.figures import plot_onsets

    frame = onsets(runs)
    return {"onset": plot_onsets(_parts(frame), fits(frame))}


#: The study of onset.
STUDY = Study(
    "onset",
    "When does sight come, in longer texts and where the pair is repeated?",
    _GRIDS,
    report=report,
    figures=draw,
)
