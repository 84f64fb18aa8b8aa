"""Train on N logical CPUs and print the losses, for `test_backends`.

python tests/devices_case.py ATTENTION_TYPE N
"""

import sys

import keras
import numpy as np
import tensorflow as tf

from diffattn import build_classifier
from diffattn.attention.kernels import sizes
from diffattn.training.fit import compile_classifier

attention_type, devices = sys.argv[1], int(sys.argv[2])
cpu = tf.config.list_physical_devices("CPU")[0]
tf.config.set_logical_device_configuration(
    cpu, [tf.config.LogicalDeviceConfiguration()] * devices
)
sizes.FEW = 0
keras.utils.set_random_seed(0)
with tf.distribute.MirroredStrategy([f"CPU:{n}" for n in range(devices)]).scope():
    model = build_classifier(
        attention_type,
        embed_dim=8,
        num_heads=2,
        sequence_length=48,
        vocabulary_size=20,
        dropout=0.0,
        seed=0,
    )
    compile_classifier(model, 0.01)
rng = np.random.default_rng(0)
tokens = rng.integers(0, 20, (64, 48)).astype("int32")
labels = (tokens.mean(1, keepdims=True) > 9.5).astype("float32")
history = model.fit(tokens, labels, batch_size=16, epochs=4, shuffle=False, verbose=0)
print(*history.history["loss"])
