"""Marks to reach: linear models on the data of the studies, one small file each.

``python results/fit_marks.py`` fits and stores them; see `diffattn.studies.linear`.
"""

import json
import os
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from diffattn.data.datasets import load_data
from diffattn.errors import ResultError
from diffattn.files import expand, json_files, write_json
from diffattn.provenance import provenance
from diffattn.studies.linear import STRENGTHS, fit_linear
from diffattn.training.answers import pack_right
from diffattn.training.config import Config

if TYPE_CHECKING:
    from diffattn.studies.formatting import Table

#: The models by name: the options of `diffattn.studies.linear.fit_linear`.
MODELS: dict[str, dict[str, bool]] = {
    "words": {},
    "words and pairs": {"pairs": True},
    "words, weighted": {"weighted": True},
    "words and pairs, weighted": {"pairs": True, "weighted": True},
}

#: The data by the name of the file, as settings of `Config`.
DATA: dict[str, dict[str, object]] = {
    "sentences-distance-1": {"data": "sentences"},
    "sentences-distance-2": {"data": "sentences", "distance": 2},
    "sentences-distance-4": {"data": "sentences", "distance": 4},
    "imdb": {"data": "imdb"},
    "imdb-shuffled": {"data": "imdb-shuffled"},
    "sample": {"data": "sample"},
}


def fit_marks(
    name: str,
    folder: str | os.PathLike,
    *,
    strengths: Sequence[float] = STRENGTHS,
) -> None:
    """Fit all linear models on one of `DATA`, and store what they reach.

    Args:
        name: a key of `DATA`.
        folder: where NAME.json is written.
        strengths: as for `diffattn.studies.linear.fit_linear`.

    Raises:
        UserError: if scikit-learn is missing.
        diffattn.errors.DataError: if the data are missing or damaged.
    """
    settings: dict = DATA[name]
    config = Config(**settings)
    origin = provenance()
    data = load_data(config)
    marks = {}
    for model, options in MODELS.items():
        result = fit_linear(
            data,
            vocabulary_size=config.vocabulary_size,
            sequence_length=config.sequence_length,
            strengths=strengths,
            pairs=options.get("pairs", False),
            weighted=options.get("weighted", False),
        )
        marks[model] = {**asdict(result), "right": pack_right(result.right)}
    document = {
        "config": asdict(config.for_data()),
        "marks": marks,
        "provenance": {**origin, "data": data.describe()},
    }
    folder = expand(folder)
    folder.mkdir(parents=True, exist_ok=True)
    write_json(folder / f"{name}.json", document)


def read_marks(folder: str | os.PathLike) -> dict[str, dict[str, dict]]:
    """Read the marks in a folder.

    Args:
        folder: where `fit_marks` has written.

    Returns:
        A dict from the name of the data to one from the model to a dict of
        ``strength``, ``validation_accuracy``, ``test_accuracy``, ``features`` and
        ``right``, packed (`diffattn.training.answers`).

    Raises:
        ResultError: if a file holds no marks, or there is none.
    """
    marks = {}
    for path in json_files(expand(folder)):
        try:
            marks[path.stem] = json.loads(path.read_text(encoding="utf-8"))["marks"]
        except (KeyError, TypeError, ValueError) as error:
            raise ResultError(f"{path} holds no marks: {error!r}") from error
    if not marks:
        raise ResultError(f"there are no marks in {Path(folder)}")
    return marks


def table_of_marks(marks: dict[str, dict[str, dict]]) -> "Table":
    """Tabulate the test accuracy of each linear model on each data set.

    Args:
        marks: as `read_marks` returns them.

    Returns:
        A `diffattn.studies.formatting.Table` with a row for each data set.
    """
    from diffattn.studies.formatting import Table

    rows = [
        [name, *(f"{marks[name][model]['test_accuracy']:.4f}" for model in MODELS)]
        for name in DATA
        if name in marks
    ]
    note = (
        "Test accuracy of logistic regression on which words, and which pairs of "
        "adjacent words, a text has; weighted as Wang and Manning (2012) do. Its "
        "regularization was chosen on the validation texts."
    )
    return Table("Linear models", ["texts", *MODELS], rows, [note])
