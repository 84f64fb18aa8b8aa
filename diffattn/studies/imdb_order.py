"""The study of order on IMDB: what is it worth there that a model sees neighbours?"""

from typing import TYPE_CHECKING

from diffattn.studies.grid import LazyGrids, grid
from diffattn.studies.models import (
    CONVOLUTION,
    DIFFERENCE,
    LEARNED,
    SUM,
    Model,
    file_name,
    label,
)
from diffattn.studies.primary import ORDERED, SHUFFLED
from diffattn.studies.study import Study

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from pandas import DataFrame

    from diffattn.studies.formatting import Table
    from diffattn.training.config import Config

#: What every row tries on the validation set: learning rate, and the spread of the
#: embedding at the start.
DRAWS = ((0.001, 0.1), (0.001, 0.5), (0.003, 0.1), (0.003, 0.5))

#: Each row, and which of `DRAWS` it has for its five seeds: the one with the highest
#: validation accuracy. The report fails if the stored tuning runs say otherwise.
ROWS: tuple[tuple[Model, int | None], ...] = (
    (DIFFERENCE, 2),
    (SUM, None),
    ("scaled_dot_product", None),
    (LEARNED, None),
    (CONVOLUTION, 2),
    ("none", 2),
)

_SETTINGS = {
    "embed_dim": 32,
    "num_heads": 4,
    "embedding_dim": 32,
    "mask_padding": True,
    "scale": 1.0,
    "epochs": 6,
    "patience": 2,
}

TUNING = "imdb-order/tuning"


def _grid(
    model: Model, draw: int, seeds: int, data: str = "imdb", first_seed: int = 0
) -> "list[Config]":
    learning_rate, spread = DRAWS[draw]
    return grid(
        [model],
        seeds,
        first_seed=first_seed,
        data=data,
        learning_rate=learning_rate,
        embedding_spread=spread,
        **_SETTINGS,
    )


def _folder(model: Model) -> str:
    return file_name(label(model))


def _grids():
    # The seed of the tuning runs is none of those that are reported.
    return {
        f"{TUNING}-{draw + 1}": [
            config
            for model, _ in ROWS
            for config in _grid(model, draw, 1, first_seed=99)
        ]
        for draw in range(len(DRAWS))
    } | {
        f"{words}/{_folder(model)}": _grid(model, draw, 5, data)
        for words, data in ((ORDERED, "imdb"), (SHUFFLED, "imdb-shuffled"))
        for model, draw in ROWS
        if draw is not None
    }


def best_draws(runs: "DataFrame") -> dict[str, int]:
    """Find for each model the draw with the highest validation accuracy.

    Args:
        runs: with those of the tuning, as `diffattn.studies.results.read_results`
            returns them.

    Returns:
        A dict from label to an index of `DRAWS`, of the models that have tried all.
    """
    tuning = runs[runs["grid"].str.startswith(TUNING)]
    draw = tuning["grid"].str.removeprefix(f"{TUNING}-").astype(int) - 1
    by_draw = tuning.assign(draw=draw).pivot_table(
        "validation_accuracy", "label", "draw"
    )
    tried = by_draw.dropna() if by_draw.shape[1] == len(DRAWS) else by_draw[:0]
    return {str(name): int(best) for name, best in tried.idxmax(axis=1).items()}


def check_draws(runs: "DataFrame") -> None:
    """Raise a ResultError if a row does not have the draw that its tuning chose."""
    from diffattn.errors import ResultError

    best = best_draws(runs)
    for model, draw in ROWS:
        name = label(model)
        if draw is not None and best.get(name, draw) != draw:
            raise ResultError(
                f"imdb-order has draw {draw} for {name}, but its tuning runs choose "
                f"{best[name]}"
            )


def report(runs: "DataFrame") -> "list[Table]":
    """Report the primary comparison, then each model with words ordered and shuffled.

    Args:
        runs: the study's, as `diffattn.studies.results.read_results` returns them.

    Returns:
        The list of `diffattn.studies.formatting.Table`; what has not run is left out.

    Raises:
        ResultError: if a row does not have the settings that its tuning chose.
    """
    from diffattn.studies.primary import tables_of_primary

    check_draws(runs)
    tables = [*tables_of_primary(runs), _table_of_order(runs), _table_of_tuning(runs)]
    return [table for table in tables if table.rows]


def _table_of_order(runs):
    from diffattn.studies.answers import answers, compare_answers
    from diffattn.studies.formatting import Table, format_bounds

    def cell(of_words):
        right = answers(of_words)
        return f"{right.to_numpy().mean():.4f} ({len(right)})" if len(right) else "–"

    rows = []
    for model, _ in ROWS:
        ordered, shuffled = (
            runs[runs["grid"] == f"{words}/{_folder(model)}"]
            for words in (ORDERED, SHUFFLED)
        )
        if not len(ordered) + len(shuffled):
            continue
        worth = compare_answers(ordered, shuffled)
        rows.append(
            [
                label(model),
                cell(ordered),
                cell(shuffled),
                "–" if worth is None else f"{worth.mean:+.4f}",
                "–" if worth is None else format_bounds(worth.low, worth.high, "+.4f"),
            ]
        )
    note = (
        "Mean test accuracy (seeds), and what it loses when the words of every review "
        "are shuffled, in training and test: the 95% interval is over seeds and "
        "reviews. Exploratory, except for the primary comparison."
    )
    headers = ["model", "as written", "shuffled", "difference", "interval"]
    return Table("IMDB: words as written, and shuffled", headers, rows, [note])


def _table_of_tuning(runs):
    from diffattn.studies.formatting import Table

    tuning = runs[runs["grid"].str.startswith(TUNING)]
    by_draw = tuning.pivot_table("validation_accuracy", "label", "grid", sort=False)
    rows = [
        [name, *(f"{by_draw.get(f'{TUNING}-{n}', {}).get(name, float('nan')):.4f}"
                 for n in range(1, len(DRAWS) + 1))]
        for name in by_draw.index
    ]  # fmt: skip
    draws = [f"rate {rate:g}, spread {spread:g}" for rate, spread in DRAWS]
    note = "Validation accuracy of one run each, with a seed that is used nowhere else."
    title = "IMDB: tuning on the validation set"
    return Table(title, ["model", *draws], rows, [note])


def draw(runs: "DataFrame") -> "dict[str, Figure]":
    """Draw each model's accuracies, with words as written and shuffled.

    Args:
        runs: the study's, as `diffattn.studies.results.read_results` returns them.

    Returns:
        A dict from "imdb-order" to the `matplotlib.figure.Figure`; empty where only
        the tuning has run.
    """
    from diffattn.studies.figures import plot_seeds

    final = runs[~runs["grid"].str.startswith(TUNING)]
    if not len(final):
        return {}
    shuffled = final["grid"].str.startswith(SHUFFLED)
    words = shuffled.map({True: ", shuffled", False: ""})
    return {
        "imdb-order": plot_seeds(
            final.assign(label=final["label"] + words), ("test_accuracy",)
        )
    }


#: The study of order on IMDB.
STUDY = Study(
    "imdb-order",
    "Are neighbours worth anything on reviews?",
    LazyGrids(_grids),
    report=report,
    figures=draw,
)
