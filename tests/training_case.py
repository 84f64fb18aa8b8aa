"""Settings, interruptions and awkward texts for the tests of training."""

import keras

#: A small model of the sample that trains in seconds.
SMALL = {"attention_type": "differentialSum", "epochs": 6, "batch_size": 64}

#: Characters and references that have broken a vocabulary file or a standardization.
SIGNS = "\0 \x1c \x1d \x1e \x85 \x96 \xa0 \xad \u2003 \u2028 \u2029 \u200b \ufeff"
SIGNS = [*SIGNS.split(" "), "&quot;", "&#39;", "&nbsp;", "&amp;", "&eacute;", "é", "😀"]


class Interruption(keras.callbacks.Callback):
    """Interrupts a training at the beginning of one epoch, as Ctrl-C would."""

    def __init__(self, epoch):
        super().__init__()
        self.epoch = epoch

    def on_epoch_begin(self, epoch, logs=None):
        if epoch == self.epoch:
            raise KeyboardInterrupt


def interrupt_before(epoch, monkeypatch):
    """Interrupt every training at the beginning of that epoch, counted from 0."""
    fit = keras.Model.fit

    def interrupted_fit(self, *args, callbacks, **kwargs):
        callbacks = [*callbacks, Interruption(epoch)]
        return fit(self, *args, callbacks=callbacks, **kwargs)

    monkeypatch.setattr(keras.Model, "fit", interrupted_fit)
