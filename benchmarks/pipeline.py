"""An epoch of the baseline over the IMDB reviews: ours, and as it was published.

The published script maps the vectorization over a data set of files, so that every
epoch reads, splits and looks up every review again; ours does so once, before the
first.

python -m benchmarks.pipeline ours|published
"""

import argparse
import json
import math
import tempfile
import time
from pathlib import Path
from statistics import median

import keras
import tensorflow as tf

from diffattn.data.datasets import load_data
from diffattn.data.standardization import make_vectorizer
from diffattn.training.config import Config
from diffattn.training.fit import compile_classifier, training_batches
from diffattn.training.model import build_classifier
from diffattn.training.tokens import tokenize

CONFIG = Config(data="imdb", attention_type="none", early_stopping=False)


def ours(folder):
    return training_batches(CONFIG, *tokenize(CONFIG).train, first_epoch=0)


def published(folder):
    reviews = load_data(CONFIG).train
    for number, (text, label) in enumerate(
        zip(reviews.texts, reviews.labels, strict=True)
    ):
        path = folder / ("pos" if label else "neg") / f"{number}.txt"
        path.parent.mkdir(exist_ok=True)
        path.write_text(text, encoding="utf-8")
    vectorizer = make_vectorizer(
        reviews.texts, CONFIG.vocabulary_size, CONFIG.sequence_length
    )
    batches = keras.utils.text_dataset_from_directory(
        folder, batch_size=CONFIG.batch_size, seed=CONFIG.split_seed, verbose=False
    )
    return batches.map(
        lambda text, label: (vectorizer(text), label),
        num_parallel_calls=tf.data.AUTOTUNE,
    ).prefetch(tf.data.AUTOTUNE)


class Times(keras.callbacks.Callback):
    """The seconds of every epoch."""

    def __init__(self):
        super().__init__()
        self.seconds = []

    def on_epoch_begin(self, epoch, logs=None):
        self.started = time.perf_counter()

    def on_epoch_end(self, epoch, logs=None):
        self.seconds.append(time.perf_counter() - self.started)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("pipeline", choices=["ours", "published"])
    pipeline = parser.parse_args().pipeline
    # All of ours are one data set, of which an epoch takes its part.
    steps = {"ours": math.ceil(20_000 / CONFIG.batch_size), "published": None}[pipeline]
    model = compile_classifier(build_classifier("none", seed=0))
    times = Times()
    with tempfile.TemporaryDirectory() as folder:
        batches = {"ours": ours, "published": published}[pipeline](Path(folder))
        model.fit(
            batches, steps_per_epoch=steps, epochs=4, verbose=0, callbacks=[times]
        )
    # The first epoch traces and compiles.
    epochs = times.seconds[1:]
    print(json.dumps({"seconds": median(epochs), "epochs": epochs}))


if __name__ == "__main__":
    main()
