"""BOD-VCL for Keras 3: video contrastive learning in which appearance and motion are both learned."""

import os
import sys

# `python -m bod_keras.data` imports this package, and TensorFlow with it, before its own first line.
if sys.orig_argv[1:2] == ["-m"] and sys.orig_argv[2].startswith("bod_keras."):
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

from bod_keras import encoders, weights
from bod_keras.frameworks import (
    VBYOL,
    ContrastiveModel,
    KeyQueue,
    MomentumModel,
    ProjectionHead,
    Prototypes,
    VBarlowTwins,
    VMoCo,
    VSimCLR,
    VSimSiam,
    VSwAV,
    VVICReg,
)
from bod_keras.koopman import KoopmanSplit
from bod_keras.losses import (
    BarlowTwins,
    CosineRegression,
    InfoNCE,
    KoopmanPrediction,
    QueueInfoNCE,
    SwappedPrediction,
    VICReg,
)
from bod_keras.presets import preset
from bod_keras.training import BiLevel, BiLevelModel
from bod_keras.version import __version__
from bod_keras.views.background_swap import BackgroundSwap
from bod_keras.views.clip_augmenter import ClipAugmenter
from bod_keras.views.frame_shuffle import FrameShuffle
from bod_keras.weights import load_encoder

__all__ = [
    "BackgroundSwap",
    "BarlowTwins",
    "BiLevel",
    "BiLevelModel",
    "ClipAugmenter",
    "ContrastiveModel",
    "CosineRegression",
    "FrameShuffle",
    "InfoNCE",
    "KeyQueue",
    "KoopmanPrediction",
    "KoopmanSplit",
    "MomentumModel",
    "ProjectionHead",
    "Prototypes",
    "QueueInfoNCE",
    "SwappedPrediction",
    "VBYOL",
    "VBarlowTwins",
    "VICReg",
    "VMoCo",
    "VSimCLR",
    "VSimSiam",
    "VSwAV",
    "VVICReg",
    "__version__",
    "encoders",
    "load_encoder",
    "preset",
    "weights",
]
