"""The study of the published table: does it lie within the spread of one model?

Source of the table: "Custom Multi-Head Attention", the documentation page of the script
CustomMultiHeadAttention.py (ResilienceAnalytics, Python-Code, 2024). Each row is one
training run. The script's layer had no ``call``, so it trained the mean-pooled baseline
six times.
"""

from typing import TYPE_CHECKING, Any

from diffattn.names import BASELINE, METRICS
from diffattn.studies.grid import grid
from diffattn.studies.study import Study, draw_grids

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from pandas import DataFrame

    from diffattn.studies.formatting import Table
    from diffattn.studies.uncertainty import Estimate

#: The table: from attention type to the values of `diffattn.names.METRICS`, in the
#: page's order.
PUBLISHED = {
    "differential": (0.2904, 0.8800, 0.3087, 0.8738),
    "differentialSum": (0.2902, 0.8794, 0.3087, 0.8737),
    "l2_norm": (0.2901, 0.8794, 0.3089, 0.8734),
    "l1_norm": (0.2904, 0.8800, 0.3089, 0.8737),
    "cosine_similarity": (0.2906, 0.8798, 0.3091, 0.8730),
    "scaled_dot_product": (0.2902, 0.8796, 0.3093, 0.8728),
}

#: The grid with the settings of the published table.
AS_PUBLISHED = "published/split-0.2"

#: The same, with one order of the reviews for all runs.
IN_ONE_ORDER = "published/one-order"

_SETTINGS: dict[str, Any] = {"data": "imdb", "early_stopping": False}

_GRIDS = {
    f"published/split-{split}": grid(
        [BASELINE], seeds, validation_split=split, **_SETTINGS
    )
    for split, seeds in ((0.2, 20), (0.5, 5))
} | {IN_ONE_ORDER: grid([BASELINE], 20, order_seed=0, **_SETTINGS)}


def published_frame() -> "DataFrame":
    """Return the published table as a frame.

    Returns:
        A `pandas.DataFrame` with the attention types as its index and
        `diffattn.names.METRICS` as its columns.
    """
    import pandas as pd

    return pd.DataFrame.from_dict(PUBLISHED, orient="index", columns=METRICS)


def report(runs: "DataFrame") -> list["Table"]:
    """Report the baseline's means, and the published figures against its spread.

    Args:
        runs: the study's, as `diffattn.studies.results.read_results` returns them.

    Returns:
        The list of `diffattn.studies.formatting.Table`.
    """
    from diffattn.studies.formatting import make_title
    from diffattn.studies.tables import table_of_means

    tables = [
        table_of_means(f"The baseline, {make_title(grid)}", in_grid)
        for grid, in_grid in runs.groupby("grid", sort=False)
    ]
    baseline = runs[(runs["grid"] == AS_PUBLISHED) & (runs["label"] == BASELINE)]
    # One run has no spread.
    if baseline["test_loss"].count() > 1:
        title = "The published figures against the baseline's spread"
        tables.append(table_of_published(title, baseline))
    return tables


def table_of_published(title: str, baseline: "DataFrame") -> "Table":
    """Tabulate each published figure against the spread of the baseline's runs.

    Args:
        title: of the table.
        baseline: runs of the baseline alone, as
            `diffattn.studies.results.read_results` returns them, at least two of them
            successful.

    Returns:
        A `diffattn.studies.formatting.Table`: a row with the spread, then the published
        rows.
    """
    from diffattn.studies.formatting import Table, format_interval, make_title
    from diffattn.studies.summaries import TEST_METRICS
    from diffattn.studies.tables import notes_on_tokens
    from diffattn.studies.uncertainty import LEVEL, predict

    spread = {metric: predict(baseline[metric].dropna()) for metric in METRICS}
    intervals = [format_interval(spread[metric], ".4f") for metric in METRICS]
    rows, inside = [["one more run of the baseline", *intervals]], 0
    for name, row in published_frame().iterrows():
        cells = [f"{name}, as published"]
        for metric, figure in row.items():
            is_inside = spread[metric].low <= figure <= spread[metric].high
            inside += is_inside
            cells.append(f"{figure:.4f} {'inside' if is_inside else 'OUTSIDE'}")
        rows.append(cells)
    notes = [
        f"Where one more run of the baseline lies with {LEVEL:.0%} probability, after "
        f"{spread['test_loss'].count} runs: mean ± t s √(1 + 1/n).",
        f"{inside} of the {published_frame().size} published figures lie inside.",
        *(
            _resolution(metric, spread[metric])
            for metric in TEST_METRICS
            if spread[metric].deviation > 0  # equal runs would detect any difference
        ),
        *notes_on_tokens(baseline),
    ]
    return Table(title, ["", *map(make_title, METRICS)], rows, notes)


def _resolution(metric: str, spread: "Estimate") -> str:
    """Say how many seeds it takes to detect the largest published difference."""
    from diffattn.studies.formatting import make_title
    from diffattn.studies.uncertainty import seeds_needed

    column = published_frame()[metric]
    difference = column.max() - column.min()
    # The two runs share nothing, so their variances add.
    deviation = 2**0.5 * spread.deviation
    among = len(column) - 1
    needed = seeds_needed(difference, deviation)
    more = seeds_needed(difference, deviation, comparisons=among)
    return (
        f"The largest difference between two published rows in {make_title(metric)} is "
        f"{difference:.4f}; one run deviates from another by {2**0.5:.2f} × "
        f"{spread.deviation:.4f}. Detecting such a difference with 80% power takes "
        f"{needed} seeds per model ({more} when it is one of {among} comparisons); the "
        "published table had one."
    )


def draw(runs: "DataFrame") -> dict[str, "Figure"]:
    """Draw each grid; the one like the published table has the study's name.

    Args:
        runs: the study's, as `diffattn.studies.results.read_results` returns them.

    Returns:
        A dict from a figure's name to the `matplotlib.figure.Figure`.
    """
    is_baseline = runs["grid"] == AS_PUBLISHED
    figures = draw_grids(runs[~is_baseline])
    if is_baseline.any():
        figures["published"] = plot_published(runs[is_baseline])
    return figures


def plot_published(baseline: "DataFrame") -> "Figure":
    """Plot the baseline's runs, and below them the published figures.

    A band shows where one more run of the baseline would lie.

    Args:
        baseline: as for `table_of_published`.

    Returns:
        A `matplotlib.figure.Figure`.
    """
    import pandas as pd

    from diffattn.studies.figures import plot_seeds
    from diffattn.studies.summaries import TEST_METRICS
    from diffattn.studies.uncertainty import predict

    published = published_frame().rename_axis("attention_type").reset_index()
    published["label"] = published["attention_type"] + " (published)"
    columns = ["label", "attention_type", *TEST_METRICS]
    spread = {metric: predict(baseline[metric].dropna()) for metric in TEST_METRICS}
    return plot_seeds(
        pd.concat([baseline[columns], published[columns]]),
        bands={
            metric: (one_more.low, one_more.high)
            for metric, one_more in spread.items()
            if one_more.count > 1
        },
    )


#: The study of the published table.
STUDY = Study(
    "published",
    "Do the published figures lie within the spread of one model, the baseline?",
    _GRIDS,
    report=report,
    figures=draw,
)
