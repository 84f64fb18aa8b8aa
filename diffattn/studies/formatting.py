"""How a table, its numbers and its names look."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from tabulate import tabulate

from diffattn.studies.uncertainty import Estimate


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
        """Return the table as a string.

        Args:
            layout: one of tabulate's formats, as "simple" or, for Markdown, "pipe".
        """
        cells = tabulate(self.rows, self.headers, layout, disable_numparse=True)
        return "\n\n".join([self.title, cells, *self.notes])

    def _repr_markdown_(self):
        """Return what a notebook shows."""
        return replace(self, title=f"**{self.title}**").format("pipe")


def make_title(name: str) -> str:
    """Turn the name of a metric or a grid into words.

    Example:
        >>> make_title("test_loss"), make_title("published/split-0.2")
        ('test loss', 'published, split 0.2')
    """
    return name.replace("_", " ").replace("/", ", ").replace("-", " ")


def format_number(value: float, style: str) -> str:
    """Format a number; there is a dash in place of NaN."""
    return "–" if math.isnan(value) else f"{value:{style}}"


def format_mean(mean: Estimate, style: str = ".4f") -> str:
    """Format a mean ± half its interval, or by itself if it has none."""
    half = f" ± {mean.half_width:{style}}" if mean.count > 1 else ""
    return format_number(mean.mean, style) + half


def format_interval(mean: Estimate, style: str) -> str:
    """Format an interval as its bounds; there is a dash for fewer than two values."""
    return "–" if mean.count < 2 else format_bounds(mean.low, mean.high, style)


def format_bounds(low: float, high: float, style: str) -> str:
    """Format the bounds of an interval."""
    return f"{low:{style}} … {high:{style}}"
