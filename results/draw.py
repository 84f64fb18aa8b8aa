"""Draw the pictures that README and book show, from the results beside this file.

python results/draw.py book/_static
"""

import sys
from pathlib import Path

from diffattn import ATTENTION_TYPES
from diffattn.costs import growth, ratio, read_costs
from diffattn.files import expand
from diffattn.plots import plot_accuracies, plot_costs, plot_growth, save_figure
from diffattn.results import read_results
from diffattn.sample import sample_ceiling
from diffattn.tables import AS_PUBLISHED, plot_grid, plot_order, studies_in, values

results = Path(__file__).parent
folder = expand(sys.argv[1])

of_sample = values(read_results(results / "sample"), "test_accuracy")
accuracies = {label: [*of_seed.values()] for label, of_seed in of_sample.items()}
save_figure(plot_accuracies(accuracies, sample_ceiling()), folder / "sample.png")

for grid, name in (
    (AS_PUBLISHED, "published"),
    ("mechanisms/embed-dim-64", "mechanisms"),
):
    found = read_results(results / grid)
    save_figure(plot_grid(grid, found), folder / f"{name}.png")
save_figure(plot_order(studies_in(results)["order"]), folder / "order.png")

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
        case: growth(costs["growth"], case, "tokens", **{"embed-dim": 512})
        for case in (*ATTENTION_TYPES, keras)
    }
    save_figure(plot_growth(curves, "tokens"), folder / "growth.png")
