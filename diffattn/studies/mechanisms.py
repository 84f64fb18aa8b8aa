"""The study of the six scores on IMDB."""

from typing import TYPE_CHECKING

from diffattn.names import BASELINE
from diffattn.studies.grid import grid
from diffattn.studies.study import Study, draw_grids

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from pandas import DataFrame

#: The grid that compares all six scores and the baseline.
ALL_SCORES = "mechanisms/embed-dim-64"

_GRIDS = {
    ALL_SCORES: grid(seeds=5, data="imdb", embed_dim=64),
    # Ten epochs end before the baseline has learned what it can.
    "mechanisms/baseline-40-epochs": grid([BASELINE], seeds=5, data="imdb", epochs=40),
    # With scale 0 all scores are 0 and all weights 1/T: the same layer with the same
    # parameters, but nothing in it can attend.
    "mechanisms/uniform-attention": grid(
        ["scaled_dot_product"], seeds=5, data="imdb", embed_dim=64, scale=0.0
    ),
}


def draw(runs: "DataFrame") -> dict[str, "Figure"]:
    """Draw each grid; the one of all scores has the study's name.

    Args:
        runs: the study's, as `diffattn.studies.results.read_results` returns them.

    Returns:
        A dict from a figure's name to the `matplotlib.figure.Figure`.
    """
    figures = draw_grids(runs)
    if ALL_SCORES in figures:
        figures["mechanisms"] = figures.pop(ALL_SCORES)
    return figures


#: The study of the six scores on IMDB.
STUDY = Study(
    "mechanisms",
    "Does it matter on IMDB which score attends, or that anything attends at all?",
    _GRIDS,
    figures=draw,
)
