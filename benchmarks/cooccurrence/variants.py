"""What is compared: each variant is a way to build one model, under the name that its rows have."""

import dataclasses
import inspect

import keras

import bod_keras
from benchmarks.cooccurrence import controls, models
from benchmarks.cooccurrence.scenes import FRAMES, SIZE
from bod_keras.presets import PRESETS

WIDTHS = (16, 32, 64, 128)
# Temporal extent of each stage's kernels.
ENCODERS = {
    "per-frame": (1, 1, 1, 1),
    "late 3-D": (1, 1, 1, 3),
    "late 3-D split early": (1, 1, 1, 3),
    "3-D": (1, 3, 3, 3),
    "3-D repeated edges": (1, 3, 3, 3),
}
# The stage that the static part is read from, where that is not the last.
EARLY = {"late 3-D split early": 3}
# What a framework needs on 1,024 videos and some hundred steps, as in configs/demo.py.
_NEGATIVES = {
    "temperature": 0.5,
    "dynamic_temperature": 0.2,
    **PRESETS["default"]["with_negatives"],
}
FRAMEWORKS = {
    "VSimCLR": _NEGATIVES,
    "VMoCo": {**_NEGATIVES, "queue_size": 512, "momentum": 0.9},
    "VBYOL": {"predictor_hidden": 128, "momentum": 0.9},
    "VSwAV": {"prototypes": 64},
}


_WIDTH = 32


def _preset(name):
    settings = dict(PRESETS[name])
    del settings["with_negatives"]  # in FRAMEWORKS
    swap = settings.pop("background_swap")
    return {**settings, "swap": swap}


_PARAMETERS = inspect.signature(bod_keras.ContrastiveModel.__init__).parameters
_WEIGHTS = {name: p.default for name, p in _PARAMETERS.items() if name.endswith("_weight")}


@dataclasses.dataclass(frozen=True)
class Variant:
    """Arguments that differ from the package's defaults.

    Attributes:
        split: the decoupling layer's class, or None: plain.
        koopman, bilevel, framework: arguments of the split, of `BiLevel` (None: no lower level), and of
            the framework.
        head: arguments of the projection head.
        swap: threshold of `BackgroundSwap`, or 0: no motion view.
        shuffle: whether the static part meets clips with their frames shuffled, `FrameShuffle`.
        model: a class of `models` in the place of v-SimCLR, or None.
    """

    split: type | None = bod_keras.KoopmanSplit
    koopman: dict = dataclasses.field(default_factory=dict)
    bilevel: dict | None = dataclasses.field(default_factory=dict)
    framework: dict = dataclasses.field(default_factory=dict)
    head: dict = dataclasses.field(default_factory=dict)
    swap: float = 0.0
    shuffle: bool = False
    model: type | None = None

    def but(self, **changes):
        """A copy in which the given dicts are added to its own."""
        own = {name: getattr(self, name) for name in changes}
        merged = {
            name: {**own[name], **value} if isinstance(value, dict) and own[name] else value
            for name, value in changes.items()
        }
        return dataclasses.replace(self, **merged)


PLAIN = Variant(split=None, bilevel=None)
# Each half of the embedding is as wide as that of a plain model.
DEFAULT = Variant(**_preset("default"), head={"width": 2 * _WIDTH})
PAPER = Variant(**_preset("paper")).but(framework={"dynamic_temperature": None})


def _intervened(**how):
    return DEFAULT.but(model=models.IntervenedSimCLR, framework=how)


_BATCH_OPERATOR = DEFAULT.but(koopman={"operator": "batch", "dynamic": "flat", "halves": False})

VARIANTS = {
    "plain": PLAIN,
    "default": DEFAULT,
    "paper": PAPER,
    # Of the tables of docs/findings.md that say so.
    "former default": DEFAULT.but(
        koopman={"ridge": 0.01},
        framework={"dynamic_weight": 1.0, "temperature": 0.2, "dynamic_temperature": 0.2},
    ),
    # Without Koopman.
    "mean-residual operator": DEFAULT.but(split=controls.MeanResidualSplit),
    "mean-residual flat": DEFAULT.but(
        split=controls.MeanResidualSplit, koopman={"dynamic": "flat"}
    ),
    "random projector": DEFAULT.but(split=controls.RandomSplit, koopman={"count": 1}),
    # The paper's ablations; "plain" is the one without decoupling.
    "no bi-level": DEFAULT.but(bilevel=None),
    "no static loss": DEFAULT.but(framework={"static_weight": 0.0}),
    "no dynamic loss": DEFAULT.but(framework={"dynamic_weight": 0.0}),
    # What the default adds to a split, one at a time left out, and none of it.
    "no motion view": DEFAULT.but(swap=0.0),
    "not standardised": DEFAULT.but(framework={"standardize": False}),
    "no halves": DEFAULT.but(koopman={"halves": False}, head={"width": _WIDTH}),
    "split alone": Variant(),
    "split alone with P differentiated": Variant(koopman={"projector_gradient": True}),
    # What is differentiated, and what is static.
    "projector differentiated": DEFAULT.but(koopman={"projector_gradient": True}),
    **{f"threshold {t}": DEFAULT.but(koopman={"threshold": t}) for t in (0.05, 0.1, 0.2, 0.3, 0.5)},
    **{f"count {k}": DEFAULT.but(koopman={"count": k}) for k in (1, 2, 3)},
    "hard (eig)": DEFAULT.but(koopman={"method": "eig"}),
    "soft (order 4)": DEFAULT.but(koopman={"order": 4}),
    # By the closest eigenvalue alone all static parts are multiples of one vector.
    "batch operator": _BATCH_OPERATOR,
    "batch operator with threshold 0.5": _BATCH_OPERATOR.but(koopman={"threshold": 0.5}),
    **{f"ridge {r:g}": DEFAULT.but(koopman={"ridge": r}) for r in (1e-3, 1e-2, 0.3)},
    "raw frames": DEFAULT.but(koopman={"normalize": False}),
    # What the dynamic part is.
    "dynamic: mean": DEFAULT.but(koopman={"dynamic": "mean"}),
    "dynamic: flat": DEFAULT.but(koopman={"dynamic": "flat"}),
    **{f"basis {p}": DEFAULT.but(koopman={"basis": p}) for p in (4, 8, 16, 24, 32)},
    "whole operator": DEFAULT.but(split=controls.WholeOperator),
    "one basis": DEFAULT.but(split=controls.OneBasis),
    "fixed basis": DEFAULT.but(split=controls.FixedBasis),
    "random basis": DEFAULT.but(split=controls.RandomBasis),
    "two steps": DEFAULT.but(split=controls.TwoStepSplit),
    "dynamic: Cayley": DEFAULT.but(split=controls.CayleySplit),
    "dynamic: modes": DEFAULT.but(split=controls.ModeSplit),
    "dynamic: modes standardised": DEFAULT.but(
        split=controls.ModeSplit, model=models.StandardisedSimCLR
    ),
    # What else is contrasted: interventions on frame embeddings, for per-frame encoders.
    "reversed negative": _intervened(negative="reversed"),
    "shuffled negative": _intervened(negative="shuffled"),
    "shuffled positive": _intervened(shuffled_positive=True),
    "shuffled positive and reversed negative": _intervened(
        shuffled_positive=True, negative="reversed"
    ),
    "foreign frame": _intervened(foreign_frame=True),
    "foreign frame for motion view": _intervened(foreign_frame=True).but(swap=0.0),
    # Against motion in the static part, for encoders with temporal kernels.
    "frame shuffle": DEFAULT.but(shuffle=True),
    **{
        f"leak weight {w:g}": DEFAULT.but(
            model=models.LeakPenalisedSimCLR, framework={"leak_weight": w}
        )
        for w in (1, 3)
    },
    # The losses.
    **{
        f"base weight {w:g}": DEFAULT.but(framework={"base_weight": w})
        for w in (0.0, 0.5, 1.0, 2.0)
    },
    **{
        f"dynamic weight {w:g}": DEFAULT.but(framework={"dynamic_weight": w})
        for w in (0.1, 0.3, 0.5, 0.7, 1.0)
    },
    **{f"plain at {t:g}": PLAIN.but(framework={"temperature": t}) for t in (0.1, 0.2, 1.0)},
    **{f"temperature {t}": DEFAULT.but(framework={"temperature": t}) for t in (0.1, 0.2, 1.0)},
    **{
        f"dynamic temperature {t}": DEFAULT.but(framework={"dynamic_temperature": t})
        for t in (0.1, 0.5)
    },
    # The lower level.
    **{f"inner steps {n}": DEFAULT.but(bilevel={"inner_steps": n}) for n in (0, 1, 3)},
    **{f"scope {s}": DEFAULT.but(bilevel={"scope": s}) for s in ("head", "all")},
    **{
        f"prediction {p}": DEFAULT.but(bilevel={"prediction": p})
        for p in ("cross_clip", "held_out", "in_sample")
    },
    "first-order hypergradient": DEFAULT.but(bilevel={"hypergradient": "first_order"}),
    # The embedding.
    **{f"width {d}": DEFAULT.but(head={"width": d}) for d in (32, 128, 256)},
}


def description(variant, framework="VSimCLR"):
    """Everything that a variant sets and that the defaults set, as plain values."""
    if variant not in VARIANTS:  # with labels, or untrained
        return {"name": variant, **description("default", framework)}
    chosen = VARIANTS[variant]
    split = chosen.split and chosen.split(**chosen.koopman).get_config()
    bilevel = chosen.bilevel is not None and bod_keras.BiLevel(**chosen.bilevel).get_config()
    if split:
        del split["name"]
    return {
        "class": chosen.split and chosen.split.__name__,
        "split": split,
        "bilevel": bilevel,
        "framework": {**_WEIGHTS, **FRAMEWORKS[framework], **chosen.framework},
        "head": {"hidden": 128, "width": _WIDTH, **chosen.head},
        "swap": chosen.swap,
        **({"shuffle": True} if chosen.shuffle else {}),
        **({"model": chosen.model.__name__} if chosen.model else {}),
    }


def build_encoder(name):
    """A small convolutional network, its kernels as `ENCODERS` says, clips to frame features (T, 128).

    Of an encoder in `EARLY` the features of that stage come before those of the last. With "repeated edges" the
    first and the last frame are repeated beyond a clip's ends, which otherwise are padded with zeros.
    """
    temporal = ENCODERS[name]
    if max(temporal) == 1:
        return bod_keras.encoders.FrameCNN((FRAMES, SIZE, SIZE, 3), WIDTHS)
    x = clips = keras.Input((FRAMES, SIZE, SIZE, 3))
    x = keras.layers.Rescaling(4.0, offset=-1.0)(x)
    read = []
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
        if stage in (EARLY.get(name), len(WIDTHS)):
            read.append(keras.ops.mean(keras.ops.cast(x, "float32"), axis=(2, 3)))
    return keras.Model(clips, keras.ops.concatenate(read, axis=-1))


def build_model(variant, framework, encoder, steps):
    """The framework of a variant, not compiled."""
    chosen = VARIANTS[variant]
    arguments = {**FRAMEWORKS[framework], **chosen.framework}
    if "momentum" in arguments:
        arguments["momentum_steps"] = steps
    if chosen.split is not None:
        arguments["decoupling"] = chosen.split(**chosen.koopman)
        if chosen.bilevel is not None:
            arguments["bilevel"] = bod_keras.BiLevel(**chosen.bilevel)
        if chosen.swap:
            arguments["motion_view"] = bod_keras.BackgroundSwap(chosen.swap)
        if chosen.shuffle:
            arguments["static_view"] = bod_keras.FrameShuffle()
    head = {"hidden": 128, "width": _WIDTH, **chosen.head}
    if encoder in EARLY:
        head = models.TwoStageHead(WIDTHS[EARLY[encoder] - 1], **head)
    else:
        head = bod_keras.ProjectionHead(**head)
    model = chosen.model or getattr(bod_keras, framework)
    return model(build_encoder(encoder), projection_head=head, **arguments)
