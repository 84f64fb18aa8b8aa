"""From results to tables, and to what can be concluded from them."""

import csv
import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TextIO

from matplotlib.figure import Figure
from tabulate import tabulate

from diffattn.config import DATA_SETTINGS
from diffattn.files import expand, json_files
from diffattn.plots import plot_matrix, plot_seeds, save_figure
from diffattn.published import METRICS, PUBLISHED
from diffattn.results import ResultError, read_results, without_failed
from diffattn.sample import sample_ceiling
from diffattn.studies import STUDIES
from diffattn.uncertainty import (
    DIFFERS,
    LEVEL,
    Comparison,
    Estimate,
    compare,
    estimate,
    predict,
    seeds_needed,
)

#: What every type is compared with.
REFERENCE = "scaled_dot_product"

#: Two do not differ if that is sure to this much: one test review in a hundred, or
#: as much of the loss.
MARGIN = 0.01

#: The two metrics that neither training nor early stopping has seen.
TEST_METRICS = ("test_loss", "test_accuracy")

#: The grid of runs like those of the published table.
AS_PUBLISHED = "published/split-0.2"

#: What a model gets that answers a sequence and its mirror image alike.
CHANCE = 0.5


@dataclass(frozen=True)
class Table:
    """A table to print.

    Attributes:
        title: what it shows.
        headers: the columns' names.
        rows: sequences of cells.
        notes: sentences below it.
    """

    title: str
    headers: Sequence[str]
    rows: Sequence[Sequence[str]]
    notes: Sequence[str] = ()

    def format(self, layout: str = "simple") -> str:
        """The table as a string.

        Args:
            layout: one of tabulate's formats, as "simple" or, for Markdown, "pipe".
        """
        cells = tabulate(self.rows, self.headers, layout, disable_numparse=True)
        return "\n\n".join([self.title, cells, *self.notes])

    def _repr_markdown_(self):
        """How a notebook shows it."""
        return replace(self, title=f"**{self.title}**").format("pipe")


def report(folder: str | os.PathLike) -> list[Table]:
    """All tables that can be made from the results in a folder.

    Args:
        folder: of results, or with the folders of `diffattn.studies.STUDIES` in it.

    Returns:
        The list of `Table`.

    Raises:
        ResultError: if there are no results, or a file is no result.
    """
    tables = []
    for name, study in studies_in(folder).items():
        tables += _REPORTS.get(name, _report_grids)(study)
    return tables


def studies_in(folder: str | os.PathLike) -> dict[str, dict[str, dict]]:
    """The results in a folder, by study and grid.

    Args:
        folder: as for `report`.

    Returns:
        A dict from a study's name to a dict from a grid's name to what
        `diffattn.results.read_results` gives. Results that lie in the folder itself
        are one grid, with the folder's name, of a study without one.

    Raises:
        ResultError: if there are no results, or a file is no result.
    """
    folder = expand(folder)
    if json_files(folder):
        return {"": {folder.resolve().name: read_results(folder)}}
    if not folder.is_dir():
        raise ResultError(f"there is no folder {folder}")
    found = {
        name: {
            grid: read_results(folder / grid)
            for grid in study.grids
            if json_files(folder / grid)
        }
        for name, study in STUDIES.items()
    }
    found = {name: grids for name, grids in found.items() if grids}
    if not found:
        raise ResultError(f"there are no results in {folder}")
    return found


def values(results: dict, metric: str) -> dict[str, dict[int, float]]:
    """One metric of all results that did not fail.

    Args:
        results: as `diffattn.results.read_results` gives them.
        metric: a key of the results' ``metrics``.

    Returns:
        A dict from label to a dict from seed to value.
    """
    return {
        label: {result["config"]["seed"]: result["metrics"][metric] for result in found}
        for label, found in without_failed(results).items()
    }


def table_of_means(title: str, results: dict) -> Table:
    """The published layout: a row a type, mean ± half the interval in each cell.

    Args:
        title: the table's.
        results: as `diffattn.results.read_results` gives them.

    Returns:
        A `Table` with a row for each label.
    """
    columns = [values(results, metric) for metric in METRICS]
    rows, notes = [], []
    for label, found in results.items():
        failed = [result for result in found if "error" in result]
        rows.append(
            [
                label,
                *(_mean(estimate([*column[label].values()])) for column in columns),
                f"{len(found)}" + f", {len(failed)} failed" * bool(failed),
            ]
        )
        notes += [
            f"Failed: {label}, seed {result['config']['seed']}: {result['error']}"
            for result in failed
        ]
    headers = ["attention", *map(_words, METRICS), "seeds"]
    interval = (
        f"Mean over the seeds ± half its {LEVEL:.0%} interval (Student's t). Initial "
        "weights, order and dropout change with the seed; the data and their split do "
        "not."
    )
    return Table(title, headers, rows, [interval, *notes])


def compare_all(results: dict, metric: str) -> dict[str, Comparison]:
    """Every type compared with `REFERENCE` by one metric, seed by seed.

    Args:
        results: as `diffattn.results.read_results` gives them.
        metric: one of `TEST_METRICS`.

    Returns:
        A dict from label to `diffattn.uncertainty.Comparison`. The intervals hold
        for all types and both metrics together.

    Raises:
        KeyError: if there is no `REFERENCE` among the labels.
    """
    of_type = values(results, metric)
    reference = of_type.pop(REFERENCE)
    comparisons = len(of_type) * len(TEST_METRICS)
    return {
        label: compare(found, reference, margin=MARGIN, comparisons=comparisons)
        for label, found in of_type.items()
    }


def table_of_differences(title: str, results: dict) -> Table:
    """Paired differences to `REFERENCE`, and a verdict on each.

    Args:
        title: the table's.
        results: as `diffattn.results.read_results` gives them.

    Returns:
        A `Table` with a row for each other label and metric.

    Raises:
        KeyError: if there is no `REFERENCE` among the labels.
    """
    compared = {metric: compare_all(results, metric) for metric in TEST_METRICS}
    rows = [
        [
            label,
            _words(metric),
            _number(comparison.difference, "+.4f"),
            _interval(comparison.difference, "+.4f"),
            str(comparison),
        ]
        for metric, of_type in compared.items()
        for label, comparison in of_type.items()
    ]
    notes = [
        f"Differences to {REFERENCE} with the same seed: their mean, and its interval; "
        f"all {len(rows)} intervals hold together with at least {LEVEL:.0%} "
        "probability (Student's t, Bonferroni). If one holds 0 and reaches no further "
        f"than {MARGIN}, any difference is smaller than its farther bound.",
        *(conclude(metric, of_type) for metric, of_type in compared.items()),
    ]
    headers = ["attention", "metric", "difference", "interval", "verdict"]
    return Table(title, headers, rows, notes)


def conclude(metric: str, compared: dict[str, Comparison]) -> str:
    """What the comparisons say: who differs, who does not, of whom nothing is known.

    Args:
        metric: what was compared.
        compared: as `compare_all` gives it.

    Returns:
        A sentence.
    """
    by_verdict = {}
    for label, comparison in compared.items():
        verdict = str(comparison)
        if comparison.verdict == DIFFERS:
            verdict += f" by {comparison.difference.mean:+.4f}"
        by_verdict.setdefault(verdict, []).append(label)
    found = "; ".join(
        f"{', '.join(labels)}: {verdict}" for verdict, labels in by_verdict.items()
    )
    return f"{_words(metric).capitalize()}, against {REFERENCE}: {found}."


def table_of_published(title: str, baseline: dict) -> Table:
    """Each published figure against the spread of the baseline's runs.

    Args:
        title: the table's.
        baseline: results of "none" alone, as `read_results` gives them, two or more
            that did not fail.

    Returns:
        A `Table` with a row for the spread and one for each published row.
    """
    runs = {metric: [*values(baseline, metric)["none"].values()] for metric in METRICS}
    spread = {metric: predict(found) for metric, found in runs.items()}
    rows, inside = [["one more run of the baseline"]], 0
    rows[0] += [_interval(spread[metric], ".4f") for metric in METRICS]
    for name, figures in PUBLISHED.items():
        row = [f"{name}, as published"]
        for metric, figure in zip(METRICS, figures, strict=True):
            is_inside = spread[metric].low <= figure <= spread[metric].high
            inside += is_inside
            row.append(f"{figure:.4f} {'inside' if is_inside else 'OUTSIDE'}")
        rows.append(row)
    notes = [
        f"Where one more run of the baseline lies with {LEVEL:.0%} probability, after "
        f"{len(runs['test_loss'])} runs: mean ± t s √(1 + 1/n).",
        f"{inside} of the {len(PUBLISHED) * len(METRICS)} published figures lie "
        "inside.",
        # Equal runs would see any difference.
        *(_resolution(m, spread[m]) for m in TEST_METRICS if spread[m].deviation > 0),
    ]
    return Table(title, ["", *map(_words, METRICS)], rows, notes)


def _resolution(metric, spread):
    """How many seeds would show a difference as small as the published ones."""
    column = [figures[METRICS.index(metric)] for figures in PUBLISHED.values()]
    difference = max(column) - min(column)
    # Two runs that share nothing: the variances add.
    needed = seeds_needed(difference, 2**0.5 * spread.deviation)
    among = len(PUBLISHED) - 1
    more = seeds_needed(difference, 2**0.5 * spread.deviation, comparisons=among)
    return (
        f"The largest difference between two published rows in {_words(metric)} is "
        f"{difference:.4f}; one run deviates from another by {2**0.5:.2f} × "
        f"{spread.deviation:.4f}. To see such a difference with 80% probability takes "
        f"{needed} seeds of each, as one of {among} comparisons {more}, and not one."
    )


def compare_with_value(
    grids: dict[str, dict], value: float
) -> dict[str, dict[str, Comparison]]:
    """Test accuracies compared with a number, as `CHANCE`.

    Args:
        grids: dict from a grid's name to its results.
        value: the accuracy to compare with.

    Returns:
        A dict from label to a dict from the grid's name to a
        `diffattn.uncertainty.Comparison`. The intervals hold all together.
    """
    accuracies = {
        grid: values(results, "test_accuracy") for grid, results in grids.items()
    }
    comparisons = sum(map(len, accuracies.values()))
    found = {}
    for grid, of_type in accuracies.items():
        for label, of_seed in of_type.items():
            found.setdefault(label, {})[grid] = compare(
                of_seed,
                dict.fromkeys(of_seed, value),
                margin=MARGIN,
                comparisons=comparisons,
            )
    return found


def table_of_order(title: str, grids: dict[str, dict]) -> Table:
    """Test accuracy by what was trained and by task, against `CHANCE`.

    Args:
        title: the table's.
        grids: dict from a grid's name to its results.

    Returns:
        A `Table` with a row for each label and a column for each grid.
    """
    compared = compare_with_value(grids, CHANCE)
    rows = [
        [label, *(_sight(of_grid.get(grid)) for grid in grids)]
        for label, of_grid in compared.items()
    ]
    counts = {len(found) for results in grids.values() for found in results.values()}
    seeds = " to ".join(map(str, sorted({min(counts), max(counts)})))
    notes = [
        f"Test accuracy over {seeds} seeds: mean ± half its "
        f"interval; all intervals hold together with at least {LEVEL:.0%} probability. "
        f"Who answers every sequence and its mirror image alike gets exactly {CHANCE}: "
        "the test set has both. A star marks what differs from that.",
    ]
    headers = ["attention", *map(_task, grids.values())]
    return Table(title, headers, rows, notes)


def _task(results):
    """What an order grid's runs are to do, from the settings that they share."""
    config = next(iter(results.values()))[0]["config"]
    words = f"{config['sequence_length']} tokens, {config['distance']} apart"
    usual = config["epochs"] == DATA_SETTINGS["order"]["epochs"]
    return words if usual else f"{words}, {config['epochs']} epochs"


def _sight(comparison):
    if comparison is None:
        return ""
    difference = comparison.difference
    mean = _number(replace(difference, mean=CHANCE + difference.mean), ".3f")
    half = f" ± {difference.half_width:.3f}" if difference.count > 1 else ""
    star = " *" if comparison.verdict == DIFFERS else ""
    return mean + half + star


def _report_order(grids):
    return [table_of_order("Order: which of two tokens comes first?", grids)]


def _report_published(grids):
    tables = [
        table_of_means(f"The baseline, {_words(grid)}", results)
        for grid, results in grids.items()
    ]
    baseline = grids.get(AS_PUBLISHED, {})
    # One run has no spread.
    if len(values(baseline, "test_loss").get("none", {})) > 1:
        title = "The published figures against the baseline's spread"
        tables.append(table_of_published(title, baseline))
    return tables


def _report_grids(grids):
    tables = []
    for grid, results in grids.items():
        tables.append(table_of_means(_words(grid).capitalize(), results))
        if REFERENCE in results and len(results) > 1:
            title = f"{_words(grid).capitalize()}: differences"
            tables.append(table_of_differences(title, results))
    return tables


def _report_sample(grids):
    ceiling = sample_ceiling()
    above = [
        label
        for label, of_grid in compare_with_value(grids, ceiling).items()
        for comparison in of_grid.values()
        if comparison.verdict == DIFFERS and comparison.difference.mean > 0
    ]
    note = (
        f"No model that is blind to word order can be right in more than {ceiling:.3f} "
        f"of the test reviews (counted). Above that: {', '.join(above) or 'no model'}."
    )
    means, *others = _report_grids(grids)
    return [replace(means, notes=[*means.notes, note]), *others]


_REPORTS = {
    "published": _report_published,
    "order": _report_order,
    "sample": _report_sample,
}


def draw(folder: str | os.PathLike, into: str | os.PathLike) -> list[Path]:
    """A picture of each grid's results, in which one sees what overlaps.

    Args:
        folder: as for `report`.
        into: the folder in which the pictures are made, as PNG.

    Returns:
        The pictures' paths.

    Raises:
        ResultError: if there are no results, or a file is no result.
    """
    into = expand(into)
    into.mkdir(parents=True, exist_ok=True)
    paths = []
    for name, grids in studies_in(folder).items():
        if name == "order":
            figures = {name: plot_order(grids)}
        else:
            figures = {grid: plot_grid(grid, of) for grid, of in grids.items()}
        for grid, figure in figures.items():
            paths.append(into / f"{grid.replace('/', '-')}.png")
            save_figure(figure, paths[-1])
    return paths


def plot_grid(grid: str, results: dict) -> Figure:
    """Test loss and accuracy of a grid, a dot a seed, with mean and interval.

    Args:
        grid: the grid's name; with `AS_PUBLISHED`, the published figures stand below,
            and a band says where one more run lies.
        results: as `diffattn.results.read_results` gives them.

    Returns:
        A `matplotlib.figure.Figure`.
    """
    panels, bands = {}, {}
    for metric in TEST_METRICS:
        panel = {label: [*of.values()] for label, of in values(results, metric).items()}
        if grid == AS_PUBLISHED:
            spread = predict(panel["none"])
            bands[_words(metric)] = spread.low, spread.high
            for name, figures in PUBLISHED.items():
                panel[f"{name} (published)"] = [figures[METRICS.index(metric)]]
        panels[_words(metric)] = panel
    return plot_seeds(panels, bands)


def plot_order(grids: dict[str, dict]) -> Figure:
    """Mean test accuracy by what was trained and by task.

    Args:
        grids: dict from a grid's name to its results.

    Returns:
        A `matplotlib.figure.Figure`.
    """
    accuracies = {
        _task(results): {
            label: [*of_seed.values()]
            for label, of_seed in values(results, "test_accuracy").items()
        }
        for results in grids.values()
    }
    return plot_matrix(accuracies, "test accuracy", CHANCE, 1.0)


def write_csv(folder: str | os.PathLike, file: TextIO) -> None:
    """All means as comma-separated values, a line for each of them.

    Args:
        folder: as for `report`.
        file: a text file, open for writing with ``newline=""``.

    Raises:
        ResultError: if there are no results, or a file is no result.
    """
    writer = csv.writer(file)
    names = ("mean", "deviation", "low", "high", "count")
    writer.writerow(["grid", "attention", "metric", *names])
    for grids in studies_in(folder).values():
        for grid, results in grids.items():
            for metric in METRICS:
                for label, found in values(results, metric).items():
                    mean = estimate([*found.values()])
                    numbers = [getattr(mean, name) for name in names]
                    writer.writerow([grid, label, metric, *numbers])


def _words(name):
    return name.replace("_", " ").replace("/", ", ").replace("-", " ")


def _mean(estimate: Estimate):
    half = f" ± {estimate.half_width:.4f}" if estimate.count > 1 else ""
    return _number(estimate, ".4f") + half


def _number(estimate, style):
    return f"{estimate.mean:{style}}" if estimate.count else "–"


def _interval(estimate, style):
    if estimate.count < 2:
        return "–"
    return f"{estimate.low:{style}} … {estimate.high:{style}}"
