"""Draw the pictures that README and book show, from the results beside this file.

python results/draw.py book/_static
"""

import sys
from pathlib import Path

from diffattn import ATTENTION_TYPES
from diffattn.costs import growth, plot_costs, plot_growth, ratio, read_costs
from diffattn.figures import save_figure
from diffattn.studies import STUDIES
from diffattn.studies.results import read_results

results = Path(__file__).parent
folder = Path(sys.argv[1]).expanduser()

for study, runs in read_results(results).groupby("study", sort=False):
    figures = STUDIES[study].figures(runs)
    if study in figures:
        save_figure(figures[study], folder / f"{study}.png")

# The benchmark takes half an hour: its pictures are drawn where it has been run.
there = (results / "benchmark").is_dir()
costs = read_costs(results / "benchmark") if there else {}
keras = "keras MultiHeadAttention"
if "steps" in costs:
    peers = ("torch scaled_dot_product", "torch cdist p=1", "torch one head a feature")
    ratios = {
        case: tuple(
            ratio(costs["steps"], case, keras, key, batch=32)
            for key in ("seconds", "memory")
        )
        for case in (*ATTENTION_TYPES, keras, *peers)
    }
    save_figure(plot_costs(ratios, "Keras's layer"), folder / "costs.png")
if "growth" in costs:
    curves = {
        case: growth(costs["growth"], case, "tokens", batch=1)
        for case in (*ATTENTION_TYPES, keras)
    }
    save_figure(plot_growth(curves, "tokens"), folder / "growth.png")
