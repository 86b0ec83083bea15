"""Three training steps of every case on one device and on two, saved as one .npz file; TensorFlow only.

    python -m tests.distribution.run_replicas steps.npz

The arrays are named ``case/replicas/name``: the losses of every step, and all weights after the last one.
Tracing takes the time: some cases run only with SLOW_TESTS=1.
"""

import os
import sys

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np
import tensorflow as tf
from keras.ops import convert_to_numpy

import bod_keras
from tests.parity.run_steps import BATCH, FRAMES, SIZE, make_clips

# Name: framework, its arguments, the lower level's (None: none), the learning rate, and chunks if not 1. The
# rate is such that three steps do not multiply rounding: the losses of VICReg and Barlow Twins are large and
# steep on four videos.
RATE = 2.0**-9
CASES = {
    "v-SimCLR, head, 2 steps": (
        bod_keras.VSimCLR,
        {"temperature": 0.5},
        {"inner_steps": 2, "inner_momentum": 0.9},
        RATE,
    ),
    "v-SimCLR, head, exact": (
        bod_keras.VSimCLR,
        {"temperature": 0.5},
        {"hypergradient": "exact"},
        RATE,
    ),
    "v-SimCLR, all": (
        bod_keras.VSimCLR,
        {"temperature": 0.5},
        {"scope": "all", "inner_learning_rate": 0.02},
        RATE,
    ),
    # The backbone on two pieces: with the pieces of two replicas, those of one device.
    "v-BYOL, chunks": (
        bod_keras.VBYOL,
        {"predictor_hidden": 16, "momentum": 0.9},
        None,
        RATE,
        2,
    ),
    # Queues that wrap around in the second step.
    "v-MoCo": (
        bod_keras.VMoCo,
        {"temperature": 0.5, "queue_size": 12, "momentum": 0.9, "wait_for_queue": True},
        None,
        RATE,
    ),
    "v-SwAV": (
        bod_keras.VSwAV,
        {"temperature": 0.5, "prototypes": 6, "queue_size": 12},
        None,
        RATE,
    ),
    "v-SimSiam": (bod_keras.VSimSiam, {"predictor_hidden": 16}, None, RATE),
    "v-VICReg": (
        bod_keras.VVICReg,
        {"expander_hidden": 16, "expander_width": 8},
        None,
        RATE / 64,
    ),
    "v-Barlow Twins": (bod_keras.VBarlowTwins, {}, None, RATE / 64),
}
if os.environ.get("SLOW_TESTS") != "1":
    for covered in ("v-SimCLR, head, exact", "v-SimSiam", "v-Barlow Twins"):
        del CASES[covered]


def make_model(framework, arguments, settings, rate, chunks=1):
    encoder = bod_keras.encoders.FrameCNN((FRAMES, SIZE, SIZE, 3), widths=(4, 8))
    split = bod_keras.KoopmanSplit(0.3, method="resolvent", order=16, ridge=0.1, basis=3)
    bilevel = None
    if settings is not None:
        bilevel = bod_keras.BiLevel(**{"inner_learning_rate": 0.1, **settings})
    head = bod_keras.ProjectionHead(48, 8)
    model = framework(encoder, split, bilevel, projection_head=head, base_weight=0.5, **arguments)
    rng = np.random.default_rng(0)
    for weight in model.trainable_variables:
        if len(weight.shape) > 1:
            inputs = np.prod(weight.shape[:-1])
            weight.assign((rng.normal(size=weight.shape) / np.sqrt(inputs)).astype("float32"))
    if hasattr(model, "momentum_encoder"):
        for weight, average in model._momentum_pairs():
            average.assign(weight)
    # Eagerly on one device: that is quicker than to trace what takes three steps.
    one = tf.distribute.get_strategy().num_replicas_in_sync == 1
    optimizer = keras.optimizers.SGD(rate, momentum=0.9)
    model.compile(optimizer, run_eagerly=one, chunks=chunks)
    return model


def train(model):
    arrays = {}
    for step, clips in enumerate(make_clips()):
        data = {"views": clips, "position": np.arange(BATCH, dtype="int64") + BATCH * step}
        data = tf.data.Dataset.from_tensor_slices(data).batch(BATCH, drop_remainder=True)
        logs = model.fit(data, verbose=0).history
        arrays |= {f"{name} {step}": np.float64(value[0]) for name, value in logs.items()}
    for weight in model.weights:
        name = weight.path.replace("/", ".")
        arrays[name] = convert_to_numpy(weight)
        # What every replica holds, not only the first.
        values = getattr(weight.value, "values", None)
        for index, value in enumerate(values or ()):
            np.testing.assert_array_equal(value.numpy(), arrays[name], err_msg=f"{name} {index}")
    return arrays


def main(path):
    cpu = tf.config.list_physical_devices("CPU")[0]
    tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
    mirrored = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
    arrays = {}
    for case, arguments in CASES.items():
        for replicas, strategy in ((1, tf.distribute.get_strategy()), (2, mirrored)):
            keras.utils.clear_session()  # equal names in every model
            with strategy.scope():
                model = make_model(*arguments)
            arrays |= {f"{case}/{replicas}/{n}": v for n, v in train(model).items()}
        print(case, flush=True)
    np.savez(path, **arrays)


if __name__ == "__main__":
    main(sys.argv[1])
