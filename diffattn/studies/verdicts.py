"""What comparisons say, in sentences."""

from collections.abc import Mapping

from diffattn.studies.formatting import make_title
from diffattn.studies.summaries import REFERENCE
from diffattn.studies.uncertainty import DIFFERS, Comparison


def conclude(metric: str, compared: Mapping[str, Comparison]) -> str:
    """Say who differs from `REFERENCE`, who does not, and of whom nothing is known.

    Args:
        metric: what was compared.
        compared: as `diffattn.studies.summaries.compare_with_reference` returns it.

    Returns:
        A sentence.
    """
    by_verdict: dict[str, list[str]] = {}
    for label, comparison in compared.items():
        verdict = str(comparison)
        if comparison.verdict == DIFFERS:
            verdict += f" by {comparison.difference.mean:+.4f}"
        by_verdict.setdefault(verdict, []).append(label)
    verdicts = "; ".join(
        f"{', '.join(labels)}: {verdict}" for verdict, labels in by_verdict.items()
    )
    return f"{make_title(metric).capitalize()}, against {REFERENCE}: {verdicts}."
