"""Three training steps of every case, as one process of a distribution or alone, saved as one .npz file.

    KERAS_BACKEND=tensorflow python -m tests.distribution.run_steps mirrored 2 steps.npz [case ...]

The arguments are the kind of distribution, its virtual devices (0: the backend's own), and the file, whose
arrays are named ``case/name``: the losses of every step, and all weights after the last one. The chief alone
writes it.
"""

import os
import sys

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np
from keras.ops import convert_to_numpy

import bod_keras
from bod_keras.training import choose_distribution
from bod_keras.views.clip_augmenter import ClipAugmenter
from tests.parity.run_steps import BATCH, FRAMES, SIZE, make_clips

# Name: framework, its arguments, the lower level's (None: none), the learning rate. The rate is such that three
# steps do not multiply rounding: the losses of VICReg and Barlow Twins are large and steep on four videos.
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
    # The backbone on two pieces: with the pieces of two replicas, those of one device.
    "v-BYOL, chunks": (
        bod_keras.VBYOL,
        {"predictor_hidden": 16, "momentum": 0.9, "chunks": 2},
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
    "v-SimCLR, plain, augmented on the device": (
        bod_keras.VSimCLR,
        {"temperature": 0.5, "plain": True, "augment": True},
        None,
        RATE * 16,
    ),
    # The background of the next video, which may be another replica's; and orders that are drawn for all.
    "v-SimCLR, own views": (
        bod_keras.VSimCLR,
        {"temperature": 0.5, "motion_view": 0.08, "static_view": 2},
        {},
        RATE,
    ),
}


def make_model(framework, arguments, settings, rate, eager):
    arguments = dict(arguments)
    chunks = arguments.pop("chunks", 1)
    encoder = bod_keras.encoders.FrameCNN((FRAMES, SIZE, SIZE, 3), widths=(4, 8))
    split = bilevel = None
    if arguments.pop("plain", False) is False:
        split = bod_keras.KoopmanSplit(0.3, method="resolvent", order=16, ridge=0.1, basis=3)
        arguments["base_weight"] = 0.5
    if settings is not None:
        bilevel = bod_keras.BiLevel(**{"inner_learning_rate": 0.1, **settings})
    if "motion_view" in arguments:
        arguments["motion_view"] = bod_keras.BackgroundSwap(arguments["motion_view"])
        arguments["static_view"] = bod_keras.FrameShuffle(arguments["static_view"])
    if arguments.pop("augment", False):
        arguments["augmenter"] = ClipAugmenter.from_recipe("cvrl", SIZE, seed=1)
    head = bod_keras.ProjectionHead(48, 8)
    model = framework(encoder, split, bilevel, projection_head=head, **arguments)
    rng = np.random.default_rng(0)
    for weight in model.trainable_variables:
        if len(weight.shape) > 1:
            inputs = np.prod(weight.shape[:-1])
            weight.assign((rng.normal(size=weight.shape) / np.sqrt(inputs)).astype("float32"))
    if hasattr(model, "momentum_encoder"):
        for weight, average in model._momentum_pairs():
            average.assign(keras.ops.copy(weight.value))
    optimizer = keras.optimizers.SGD(rate, momentum=0.9)
    model.compile(optimizer, run_eagerly=eager, chunks=chunks)
    return model


class Batches:
    """In the place of a `ClipDataset`: one global batch, of which this process has its block."""

    def __init__(self, clips, first, shard):
        index, count = shard
        self.batch_size = len(clips) // count
        rows = np.arange(index * self.batch_size, (index + 1) * self.batch_size)
        self._batch = {"views": clips[rows], "position": (first + rows).astype("int32")}

    def training(self, position):
        import tensorflow as tf

        return tf.data.Dataset.from_tensors(self._batch)

    def training_numpy(self, position):
        return ((batch,) for batch in [self._batch])


def train(model, distribution):
    arrays = {}
    for step, clips in enumerate(make_clips()):
        data = Batches(clips, BATCH * step, distribution.shard)
        stream = distribution.stream(data, 0)
        logs = model.fit(stream, steps_per_epoch=1, shuffle=False, verbose=0).history
        arrays |= {f"{name} {step}": np.float64(value[0]) for name, value in logs.items()}
    for weight in model.weights:
        name = weight.path.replace("/", ".")
        arrays[name] = convert_to_numpy(weight)
        # What every replica holds, not only the first.
        values = getattr(weight.value, "values", ())
        for index, value in enumerate(values if isinstance(values, tuple) else ()):
            np.testing.assert_array_equal(value.numpy(), arrays[name], err_msg=f"{name} {index}")
    assert np.isfinite([v for v in arrays.values() if np.ndim(v) == 0]).all()
    return arrays


def main(kind, devices, path, *cases):
    distribution = choose_distribution(kind, int(devices) or None, timeout=60)
    # Eagerly on one device: that is quicker than to trace what takes three steps.
    eager = keras.backend.backend() != "jax" and distribution.replicas == 1
    arrays = {}
    for case in cases or CASES:
        keras.utils.clear_session()  # equal names in every model
        keras.utils.set_random_seed(0)
        with distribution.scope():
            model = make_model(*CASES[case], eager)
        steps = train(model, distribution)
        sums = [np.abs(value).sum(dtype="float64") for value in steps.values()]
        # To the last bit: no process drifts away from the others.
        bits = np.frombuffer(np.array(sums).tobytes(), "int32")
        assert (distribution.gather(bits) == bits).all(), f"{case}: the processes differ"
        arrays |= {f"{case}/{name}": value for name, value in steps.items()}
    if distribution.is_chief:
        np.savez(path, **arrays)
    distribution.close()


if __name__ == "__main__":
    main(*sys.argv[1:])
