import numpy as np
import pandas as pd

from diffattn.studies.accuracies import table_of_accuracies
from diffattn.studies.statistics import resample
from diffattn.training.answers import pack_right


def test_models_are_ordered_and_their_intervals_are_those_of_items_and_seeds():
    rng = np.random.default_rng(0)
    right = {
        ("low", seed): rng.random(200) < 0.6 for seed in range(3)
    } | {("high", seed): rng.random(200) < 0.8 for seed in range(3)}  # fmt: skip
    right["once", 0] = rng.random(200) < 0.7
    runs = pd.DataFrame(
        [
            {
                "label": label,
                "seed": seed,
                "right": {"test": pack_right(bits)},
                "standardization": 2,
            }
            for (label, seed), bits in right.items()
        ]
    )
    table = table_of_accuracies("Made", runs, chance=0.5, together=2)
    assert [row[0] for row in table.rows] == ["high", "once", "low"]
    of_high = np.array([right["high", n].reshape(-1, 2).mean(1) for n in range(3)])
    expected = resample(of_high, 0.5)
    assert table.rows[0][1:] == [
        f"{of_high.mean():.4f}",
        f"{0.5 + expected.low:.4f} … {0.5 + expected.high:.4f}",
        "3",
    ]
    assert table.rows[1][2:] == ["–", "1"]
