"""An epoch of the baseline over the IMDB reviews: ours, and as it was published.

The published script maps the vectorization over the data set, so that every epoch
splits and looks up every review again; ours does so once, before the first.

python -m benchmarks.pipeline ours|published
"""

import argparse
import json
import math
import time

import keras
import tensorflow as tf

from diffattn.config import Config
from diffattn.model import build_classifier
from diffattn.standardization import make_vectorizer
from diffattn.trainer import (
    compile_classifier,
    load_data,
    tokenize,
    training_batches,
)

CONFIG = Config.make(data="imdb", attention_type="none", early_stopping=False)


def ours():
    return training_batches(CONFIG, *tokenize(CONFIG).train, first_epoch=0)


def published():
    reviews = load_data(CONFIG).train
    vectorizer = make_vectorizer(
        reviews.texts, CONFIG.vocabulary_size, CONFIG.sequence_length
    )
    batches = tf.data.Dataset.from_tensor_slices((reviews.texts, reviews.labels))
    batches = batches.shuffle(len(reviews), seed=0).batch(CONFIG.batch_size)
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
    batches = {"ours": ours, "published": published}[pipeline]()
    model = compile_classifier(build_classifier("none", seed=0))
    times = Times()
    # All of ours are one data set, of which an epoch takes its part.
    steps = {"ours": math.ceil(20_000 / CONFIG.batch_size), "published": None}
    model.fit(
        batches, steps_per_epoch=steps[pipeline], epochs=4, verbose=0, callbacks=[times]
    )
    # The first epoch traces and compiles.
    print(json.dumps({"epochs": times.seconds[1:]}))


if __name__ == "__main__":
    main()
