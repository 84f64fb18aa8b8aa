"""Which test items the runs of a model got right, and comparisons by these."""

import numpy as np
import pandas as pd

from diffattn.errors import ResultError
from diffattn.studies.statistics import Resampled, resample
from diffattn.training.answers import unpack_right


def answers(runs: pd.DataFrame, *, together: int = 1) -> pd.DataFrame:
    """Unpack which test items one model got right.

    Args:
        runs: of one grid and one label, as `diffattn.studies.results.read_results`
            returns them; runs without answers do not count.
        together: int, how many neighbouring items belong together and are averaged, as
            the two forms of a sentence.

    Returns:
        A `pandas.DataFrame` with a row for each seed, its index, and a column for each
        item: the share that was right.

    Raises:
        ResultError: if the runs have not answered the same number of items.
    """
    packed = {
        run.seed: run.right["test"] for run in runs.itertuples() if _has(run.right)
    }
    right = [unpack_right(one) for one in packed.values()]
    sizes = {len(one) for one in right}
    if len(sizes) > 1 or any(size % together for size in sizes):
        raise ResultError(
            f"the runs of a model answered {sorted(sizes)} test items: they must be "
            f"equally many, and a multiple of {together}"
        )
    rows = [one.reshape(-1, together).mean(axis=1) for one in right]
    # An array at once: pandas takes seconds for a list of rows.
    return pd.DataFrame(
        np.stack(rows) if rows else None, index=pd.Index(packed, name="seed")
    )


def _has(right):
    return isinstance(right, dict) and "test" in right


def compare_answers(
    runs: pd.DataFrame, reference: pd.DataFrame | float, *, together: int = 1
) -> Resampled | None:
    """Compare two models by the items that they got right, with the same seeds.

    Args:
        runs: of one grid and one label, as `diffattn.studies.results.read_results`
            returns them.
        reference: the same of the other model, of any grid with the same test items;
            or an accuracy.
        together: as for `answers`.

    Returns:
        A `diffattn.studies.statistics.Resampled` of the difference of the accuracies;
        None if there are fewer than two seeds in common.
    """
    ours = answers(runs, together=together)
    if isinstance(reference, float | int):
        return resample(ours.to_numpy(), reference) if len(ours) > 1 else None
    theirs = answers(reference, together=together)
    seeds = ours.index.intersection(theirs.index)
    if len(seeds) < 2:
        return None
    return resample(ours.loc[seeds].to_numpy(), theirs.loc[seeds].to_numpy())


def accuracy_of_tests(runs: pd.DataFrame) -> pd.DataFrame:
    """List the accuracy of each run on each of its further test sets.

    Args:
        runs: as `diffattn.studies.results.read_results` returns them.

    Returns:
        A `pandas.DataFrame` with the columns ``grid``, ``label``, ``seed``, ``test``
        (its name) and ``accuracy``, a row for each run and test set. The test set that
        all runs have is not among them.
    """
    return pd.DataFrame(
        [
            {
                "grid": run.grid,
                "label": run.label,
                "seed": run.seed,
                "test": name,
                "accuracy": measured["accuracy"],
            }
            for run in runs.itertuples()
            if isinstance(run.tests, dict)
            for name, measured in run.tests.items()
        ],
        columns=["grid", "label", "seed", "test", "accuracy"],
    )


def learned_values(runs: pd.DataFrame, parameter: str) -> pd.DataFrame:
    """List what each head has learned of a score's own parameter.

    Args:
        runs: as `diffattn.studies.results.read_results` returns them.
        parameter: its name, as "coefficient".

    Returns:
        A `pandas.DataFrame` with the columns ``grid``, ``label``, ``seed``, ``layer``,
        ``head`` and ``value``, a row for each head.
    """
    return pd.DataFrame(
        [
            {
                "grid": run.grid,
                "label": run.label,
                "seed": run.seed,
                "layer": layer,
                "head": head,
                "value": value,
            }
            for run in runs.itertuples()
            if isinstance(run.parameters, dict)
            for layer, values in run.parameters.items()
            for head, value in enumerate(np.ravel(values.get(parameter, [])))
        ],
        columns=["grid", "label", "seed", "layer", "head", "value"],
    )
