"""Train a small classifier with each score, and write what the explorer needs of them.

python results/export_classifiers.py book/_static
"""

import base64
import json
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from diffattn import ATTENTION_TYPES, Run, train


def export(run: Run) -> dict:
    """Pack a classifier of the built-in reviews: its size, accuracy and weights.

    The weights are float16, one after the other: the embedding of the words that the
    vocabulary has; kernel and bias of query, key, value and output; of the logit.
    """
    vectorizer, classifier = run.model.layers[1:3]
    layer = classifier.get_layer("attention")
    words = len(vectorizer.get_vocabulary())
    arrays = [
        classifier.get_layer("embedding").get_weights()[0][:words],
        *layer.query_projection.get_weights(),
        *layer.key_projection.get_weights(),
        *layer.value_projection.get_weights(),
        *layer.output_projection.get_weights(),
        *classifier.get_layer("logit").get_weights(),
    ]
    packed = np.concatenate([array.ravel() for array in arrays]).astype("<f2")
    return {
        "heads": layer.num_heads,
        "features": [arrays[0].shape[1], layer.embed_dim],
        "accuracy": round(run.metrics["test_accuracy"], 3),
        "weights": base64.b64encode(packed.tobytes()).decode(),
    }


def main(folder: Path) -> None:
    classifiers = {}
    with TemporaryDirectory() as runs:
        for attention_type in ATTENTION_TYPES:
            run = train(attention_type=attention_type, output=runs, verbose=0)
            classifiers[attention_type] = export(run)
            vocabulary = run.model.layers[1].get_vocabulary()
    content = {"vocabulary": [str(w) for w in vocabulary], "classifiers": classifiers}
    text = f"window.diffattnClassifiers = {json.dumps(content)};\n"
    (folder / "classifiers.js").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]).expanduser())
