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
from tests.tiny_models import copy_to_momentum_networks

# Name: framework, its arguments, what is not as in SIMPLE (None: the plain framework), the learning rate. The
# rate is such that three steps do not multiply rounding: the losses of VICReg and Barlow Twins are large and
# steep on four videos.
RATE = 2.0**-9
# A `FrameShuffle` is made later: its seed is a variable, and devices are chosen before there is one.
_SEEDED = "seeded frame shuffle"
SIMPLE = {
    "threshold": 0.3,
    "read_out": bod_keras.OperatorReadOut(3),
    "heads": 1,
    "bilevel": None,
    "static_temperature": None,
    "dynamic_temperature": None,
    "dynamic_weight": 1.0,
    "base_weight": 0.5,
    "standardize": False,
    "motion_view": None,
    "static_view": None,
    "static_mix": 0.0,
}
HALF = {"temperature": 0.5}
CASES = {
    # The background of the next video, which may be another replica's; statistics of all replicas.
    "v-SimCLR, recommended": (bod_keras.VSimCLR, HALF, True, RATE),
    # As it is recommended for encoders that mix frames: orders are drawn for all replicas.
    "v-SimCLR, own views": (
        bod_keras.VSimCLR,
        HALF,
        {
            "motion_view": "background_swap",
            "static_view": _SEEDED,
            "bilevel": bod_keras.BiLevel(1, 0.1),
        },
        RATE,
    ),
    "v-SimCLR, head, 2 steps": (
        bod_keras.VSimCLR,
        HALF,
        {"bilevel": bod_keras.BiLevel(2, 0.1)},
        RATE,
    ),
    "v-SimCLR, all": (
        bod_keras.VSimCLR,
        HALF,
        {"bilevel": bod_keras.BiLevel(1, 0.02, "all")},
        RATE / 4,
    ),
    # Queues that wrap around in the second step.
    "v-MoCo": (
        bod_keras.VMoCo,
        {**HALF, "queue_size": 12, "momentum": 0.9, "wait_for_queue": True},
        {},
        RATE,
    ),
    "v-SwAV": (bod_keras.VSwAV, {**HALF, "prototypes": 6, "queue_size": 12}, {}, RATE),
    # The backbone on two chunks: with the chunks of two replicas, those of one device.
    "v-BYOL, chunks": (
        bod_keras.VBYOL,
        {"predictor_hidden": 16, "momentum": 0.9, "chunks": 2},
        {},
        RATE / 4,
    ),
    "v-SimSiam": (bod_keras.VSimSiam, {"predictor_hidden": 16}, {}, RATE),
    "v-VICReg": (bod_keras.VVICReg, {"expander_hidden": 16, "expander_width": 8}, {}, RATE / 128),
    "v-Barlow Twins": (bod_keras.VBarlowTwins, {}, {}, RATE / 64),
    "v-LeJEPA": (bod_keras.VLeJEPA, {"expander_hidden": 16, "expander_width": 8}, {}, RATE),
    "v-SimCLR, plain, augmented on the device": (
        bod_keras.VSimCLR,
        {**HALF, "augment": True},
        None,
        RATE * 16,
    ),
}


def make_model(framework, arguments, settings, rate, eager):
    arguments = dict(arguments)
    chunks = arguments.pop("chunks", 1)
    if arguments.pop("augment", False):
        arguments["augmenter"] = ClipAugmenter.from_recipe("cvrl", SIZE, seed=1)
    if isinstance(settings, dict):
        # Copies: no two models share a layer.
        if settings.get("static_view") == _SEEDED:
            settings = {**settings, "static_view": bod_keras.FrameShuffle(2)}
        decoupling = bod_keras.Decoupling(**{**SIMPLE, **settings})
        settings = bod_keras.Decoupling.from_config(decoupling.get_config())
    encoder = bod_keras.encoders.FrameCNN((FRAMES, SIZE, SIZE, 3), widths=(4, 8))
    head = bod_keras.ProjectionHead(48, 8)
    model = framework(encoder, settings, projection_head=head, **arguments)
    for directions in getattr(model, "directions", []):
        directions.state.assign([1, 0])
    rng = np.random.default_rng(0)
    for weight in model.trainable_variables:
        if len(weight.shape) > 1:
            inputs = np.prod(weight.shape[:-1])
            weight.assign((rng.normal(size=weight.shape) / np.sqrt(inputs)).astype("float32"))
    copy_to_momentum_networks(model)
    optimizer = keras.optimizers.SGD(rate, momentum=0.9)
    model.compile(optimizer, run_eagerly=eager, chunks=chunks)
    return model


class Batches:
    """Instead of a `ClipDataset`: one global batch, of which this process has its block."""

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
