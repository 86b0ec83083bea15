"""BOD-VCL for Keras 3: video contrastive learning in which appearance and motion are both learned."""

from bod_keras import encoders
from bod_keras.frameworks import ContrastiveModel, ProjectionHead, VSimCLR
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
from bod_keras.training import BiLevel, BiLevelModel
from bod_keras.version import __version__

__all__ = [
    "BarlowTwins",
    "BiLevel",
    "BiLevelModel",
    "ContrastiveModel",
    "CosineRegression",
    "InfoNCE",
    "KoopmanPrediction",
    "KoopmanSplit",
    "ProjectionHead",
    "QueueInfoNCE",
    "SwappedPrediction",
    "VICReg",
    "VSimCLR",
    "__version__",
    "encoders",
]
