"""Draw the pictures that README and book show, from the results beside this file.

python results/draw.py book/_static
"""

import sys
from pathlib import Path

from diffattn import ATTENTION_TYPES
from diffattn.costs import growth, ratio, read_costs
from diffattn.data.sample import sample_ceiling
from diffattn.figures import plot_accuracies, plot_costs, plot_growth
from diffattn.studies.results import read_results
from diffattn.studies.tables import (
    AS_PUBLISHED,
    plot_grid,
    plot_order,
    studies_in,
    values,
)

results = Path(__file__).parent
folder = Path(sys.argv[1])

of_sample = values(read_results(results / "sample"), "test_accuracy")
accuracies = {label: [*of_seed.values()] for label, of_seed in of_sample.items()}
plot_accuracies(accuracies, sample_ceiling()).savefig(folder / "sample.png", dpi=160)

for grid, name in (
    (AS_PUBLISHED, "published"),
    ("mechanisms/embed-dim-64", "mechanisms"),
):
    found = read_results(results / grid)
    plot_grid(grid, found).savefig(folder / f"{name}.png", dpi=160)
plot_order(studies_in(results)["order"]).savefig(folder / "order.png", dpi=160)

# The benchmark takes half an hour: its pictures are drawn where it has been run.
costs = read_costs(results / "benchmark")
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
    plot_costs(ratios, "Keras's layer").savefig(folder / "costs.png", dpi=160)
if "growth" in costs:
    curves = {
        case: growth(costs["growth"], case, "tokens", **{"embed-dim": 512})
        for case in (*ATTENTION_TYPES, keras)
    }
    plot_growth(curves, "tokens").savefig(folder / "growth.png", dpi=160)
