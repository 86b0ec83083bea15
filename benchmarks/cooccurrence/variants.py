"""What is compared: each variant is a way to build one model, under the name that its rows have.

`docs/findings.md` names rows that are no longer here; commit c41f061 can repeat them.
"""

import dataclasses

import keras

import bod_keras
from benchmarks.cooccurrence import controls
from benchmarks.cooccurrence.scenes import FRAMES, SIZE

WIDTHS = (16, 32, 64, 128)
# Temporal extent of each stage's kernels.
ENCODERS = {
    "per-frame": (1, 1, 1, 1),
    "per-frame regions": (1, 1, 1, 1),
    "late 3-D": (1, 1, 1, 3),
    "3-D": (1, 3, 3, 3),
    "3-D throughout": (3, 3, 3, 3),
    "3-D repeated edges": (1, 3, 3, 3),
}
# What a framework needs on 1,024 videos and some hundred steps, as in configs/demo.py.
FRAMEWORKS = {
    "VSimCLR": {"temperature": 0.5},
    "VMoCo": {"temperature": 0.5, "queue_size": 512, "momentum": 0.9},
    "VBYOL": {"predictor_hidden": 128, "momentum": 0.9},
    "VSwAV": {"prototypes": 64},
}


@dataclasses.dataclass(frozen=True)
class Variant:
    """What a model is built from, besides its encoder; all else has the package's defaults.

    Attributes:
        decoupling: a `Decoupling`, or None: plain.
        split: a class of `controls` instead of `KoopmanSplit`, or None.
        framework: arguments of the framework.
    """

    decoupling: bod_keras.Decoupling | None = None
    split: type | None = None
    framework: dict = dataclasses.field(default_factory=dict)


def _decoupled(split=None, **settings):
    return Variant(bod_keras.Decoupling(**settings), split)


VARIANTS = {
    "plain": Variant(),
    "plain at 0.2": Variant(framework={"temperature": 0.2}),
    "default": Variant(bod_keras.Decoupling()),
    "paper": Variant(bod_keras.Decoupling.named("paper")),
    # Without Koopman, or without its selection.
    "mean-residual operator": _decoupled(controls.MeanResidualSplit),
    "random projector": _decoupled(controls.RandomSplit),
    "whole operator": _decoupled(controls.WholeOperator),
    # What the default adds to a split, one at a time left out.
    "no bi-level": _decoupled(bilevel=None),
    "background swap": _decoupled(motion_view="background_swap"),
    "no static mix": _decoupled(static_mix=0.0),
    "no motion view": _decoupled(motion_view=None),
    "no static view": _decoupled(static_view=None),  # encoders with temporal kernels have one
    "not standardized": _decoupled(standardize=False),
    # Other values.
    "ridge 0.01": _decoupled(ridge=0.01),
    "ridge 0.3": _decoupled(ridge=0.3),
    "threshold 0.1": _decoupled(threshold=0.1),
    "frame shuffle": _decoupled(static_view="frame_shuffle"),
    "dynamic weight 0.7": _decoupled(dynamic_weight=0.7),
}


def description(variant, framework="VSimCLR"):
    """Everything that a variant and its framework set, as plain values."""
    if variant not in VARIANTS:  # with labels, or untrained
        return {"name": variant, **description("default", framework)}
    chosen = VARIANTS[variant]
    return {
        "decoupling": chosen.decoupling and chosen.decoupling.get_config(),
        "split": chosen.split and chosen.split.__name__,
        "framework": {**FRAMEWORKS[framework], **chosen.framework},
    }


def build_encoder(name, shape=(FRAMES, SIZE, SIZE, 3)):
    """A small convolutional network, its kernels as `ENCODERS` says, clips to frame features (T, 128).

    With "regions" each quarter of a frame has a mean of its own (T, 512). With "repeated edges" the first and
    the last frame are repeated beyond a clip's ends, which otherwise are padded with zeros.
    """
    temporal = ENCODERS[name]
    if max(temporal) == 1:
        return bod_keras.encoders.FrameCNN(
            shape, WIDTHS, regions=2 if name.endswith("regions") else 1
        )
    x = clips = keras.Input(shape)
    x = keras.layers.Rescaling(4.0, offset=-1.0)(x)
    for stage, (width, extent) in enumerate(zip(WIDTHS, temporal), start=1):
        kernel = (extent, *((5, 5) if stage == 1 else (3, 3)))
        # Not by `repeat_edges`, which is of the package's convolutions: all else is to be as in "3-D".
        repeated = extent > 1 and name.endswith("repeated edges")
        if repeated:
            x = keras.ops.concatenate([x[:, :1], x, x[:, -1:]], axis=1)
        x = keras.layers.Conv3D(width, kernel, (1, 2, 2), padding="same", use_bias=False)(x)
        if repeated:
            x = x[:, 1:-1]
        x = keras.layers.BatchNormalization(momentum=0.9, epsilon=1e-5)(x)
        x = keras.layers.Activation("relu")(x)
    return keras.Model(clips, keras.ops.mean(keras.ops.cast(x, "float32"), axis=(2, 3)))


def build_model(variant, framework, encoder, steps, shape=(FRAMES, SIZE, SIZE, 3)):
    """The framework of a variant, not compiled."""
    chosen = VARIANTS[variant]
    arguments = {**FRAMEWORKS[framework], **chosen.framework}
    if "momentum" in arguments:
        arguments["momentum_steps"] = steps
    model = getattr(bod_keras, framework)
    if chosen.split is not None:
        model = _with_split(model, chosen.split)
    return model(build_encoder(encoder, shape), decoupling=chosen.decoupling, **arguments)


def _with_split(framework, split):
    """The framework with another split of the same settings."""

    class Control(framework):
        def make_split(self):
            return split.from_config(super().make_split().get_config())

    return Control
