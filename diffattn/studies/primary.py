"""The primary comparisons that ``results/PLAN.md`` names, and how they are judged."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from diffattn.studies.models import DIFFERENCE, RIVALS, SUM, label

if TYPE_CHECKING:
    from pandas import DataFrame

    from diffattn.studies.formatting import Table
    from diffattn.studies.statistics import Resampled

#: Accuracies closer than this are alike.
MARGIN = 0.01

#: Which seeds choose the best rival, by the validation accuracy.
CHOOSING = range(5)

SENTENCES = "sentences/distance-1"
#: Folders of the study imdb-order, with a grid for each model.
ORDERED, SHUFFLED = "imdb-order/ordered", "imdb-order/shuffled"


@dataclass(frozen=True)
class Primary:
    """A primary comparison.

    Attributes:
        name: as the plan has it.
        question: what it answers.
        grid: of the value.
        against: function of all runs to a pair: the name of what the value is compared
            with, and its runs or an accuracy.
        together: how many test items belong together.
    """

    name: str
    question: str
    grid: str
    against: "Callable[[DataFrame], tuple[str, DataFrame | float]]"
    together: int = 1

    def compare(self, runs: "DataFrame") -> "tuple[str, Resampled] | None":
        """Return what it is compared with, and the comparison; None without runs."""
        from diffattn.studies.answers import compare_answers

        value = _of(runs, self.grid, DIFFERENCE)
        other, reference = self.against(runs)
        result = compare_answers(value, reference, together=self.together)
        return None if result is None else (other, result)


def _of(runs, grid, name):
    return runs[(runs["grid"] == grid) & (runs["label"] == name)]


def rank_rivals(runs: "DataFrame") -> "DataFrame":
    """Rank the rivals by their mean validation accuracy, the best first.

    Args:
        runs: with those of the grid "sentences/distance-1"; the seeds 0 to 4 count.

    Returns:
        A `pandas.DataFrame` with the label as index, and the columns ``mean`` and
        ``count``, of seeds; rivals that have not run are not in it.
    """
    rivals = [label(model) for model in RIVALS]
    chosen = runs[
        (runs["grid"] == SENTENCES)
        & runs["label"].isin(rivals)
        & runs["seed"].isin(CHOOSING)
    ]
    by_rival = chosen.groupby("label")["validation_accuracy"].agg(["mean", "count"])
    return by_rival.dropna().sort_values("mean", ascending=False)


def best_rival(runs: "DataFrame") -> str | None:
    """Return the label of the best rival by `rank_rivals`; None if none has run."""
    ranked = rank_rivals(runs)
    return str(ranked.index[0]) if len(ranked) else None


def _against_best_rival(runs):
    name = best_rival(runs)
    return str(name), _of(runs, SENTENCES, name)


#: The comparisons, in the order of the plan.
PRIMARY = (
    Primary(
        "P1",
        "Does the difference see order in real sentences?",
        SENTENCES,
        lambda runs: ("one half", 0.5),
        together=2,
    ),
    Primary(
        "P2",
        "Is it the minus sign?",
        SENTENCES,
        lambda runs: (SUM, _of(runs, SENTENCES, SUM)),
        together=2,
    ),
    Primary(
        "P3",
        "Does it beat the best rival?",
        SENTENCES,
        _against_best_rival,
        together=2,
    ),
    Primary(
        "P4",
        "Are neighbours worth anything to it on reviews?",
        f"{ORDERED}/{DIFFERENCE}",
        lambda runs: (
            f"{DIFFERENCE}, words shuffled",
            _of(runs, f"{SHUFFLED}/{DIFFERENCE}", DIFFERENCE),
        ),
    ),
)


def judge(result: "Resampled", p_value: float) -> str:
    """Say what a comparison shows.

    Args:
        result: of the comparison.
        p_value: corrected.

    Returns:
        "higher" or "lower" if it differs, "below the margin", or "open".
    """
    if p_value < 0.05:
        return "higher" if result.mean > 0 else "lower"
    within = result.low >= -MARGIN and result.high <= MARGIN
    return "below the margin" if within else "open"


def judge_all(runs: "DataFrame") -> "dict[str, tuple[str, Resampled, float, str]]":
    """Judge the primary comparisons that runs allow.

    A comparison without runs counts as one with a p-value of 1, so that no corrected
    p-value is smaller than it will be when all have run.

    Args:
        runs: as `diffattn.studies.results.read_results` returns them.

    Returns:
        A dict from a comparison's name to (compared with, result, corrected p-value,
        verdict).
    """
    from diffattn.studies.statistics import holm

    results = {primary.name: primary.compare(runs) for primary in PRIMARY}
    corrected = holm(
        {name: 1.0 if r is None else r[1].p_value for name, r in results.items()}
    )
    return {
        name: (r[0], r[1], corrected[name], judge(r[1], corrected[name]))
        for name, r in results.items()
        if r is not None
    }


def tables_of_primary(runs: "DataFrame") -> "list[Table]":
    """Tabulate the primary comparisons that runs allow, with their verdicts.

    Args:
        runs: as `diffattn.studies.results.read_results` returns them.

    Returns:
        A list of one `diffattn.studies.formatting.Table`, or of none.
    """
    from diffattn.studies.formatting import Table, format_bounds

    judged = judge_all(runs)
    questions = {primary.name: primary.question for primary in PRIMARY}
    rows = [
        [
            name,
            questions[name],
            other,
            f"{result.mean:+.4f}",
            format_bounds(result.low, result.high, "+.4f"),
            f"{p_value:.2g}",
            verdict,
        ]
        for name, (other, result, p_value, verdict) in judged.items()
    ]
    if not rows:
        return []
    missing = [primary.name for primary in PRIMARY if primary.name not in judged]
    notes = [
        f"Test accuracy of {DIFFERENCE} minus that of the other, over the same seeds "
        "and test items; both were resampled together for the 95% interval. The "
        "p-values are corrected by Holm's method for all four comparisons of the plan"
        + (f" ({', '.join(missing)} not run here count as 1)." if missing else "."),
        f"Below the margin: the interval lies within ±{MARGIN}.",
    ]
    headers = ["", "question", "against", "difference", "interval", "p", "verdict"]
    return [Table("Primary comparisons", headers, rows, notes)]
