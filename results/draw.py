"""Draw the pictures that README and book show, from the results beside this file.

python results/draw.py book/_static
"""

import sys
from pathlib import Path

from diffattn import custom_standardization, load_sample
from diffattn.plots import plot_accuracies
from diffattn.sample import order_blind_ceiling
from diffattn.study import read_results

folder = Path(sys.argv[1])
test = load_sample().test
words = [text.split() for text in custom_standardization(test.texts).numpy()]
ceiling = order_blind_ceiling(words, test.labels)
accuracies = {
    attention_type: [result["metrics"]["test_accuracy"] for result in results]
    for attention_type, results in read_results(
        Path(__file__).parent / "sample"
    ).items()
}
plot_accuracies(accuracies, ceiling).savefig(folder / "sample.png", dpi=160)
