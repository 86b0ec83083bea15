"""Losses of embeddings in float32: one value per video, or one per batch of batch statistics."""

from bod_keras.losses.barlow_twins import BarlowTwins
from bod_keras.losses.cosine_regression import CosineRegression
from bod_keras.losses.decoupled import DecoupledLoss
from bod_keras.losses.info_nce import InfoNCE
from bod_keras.losses.koopman_prediction import KoopmanPrediction
from bod_keras.losses.lejepa import LeJEPA
from bod_keras.losses.queue_info_nce import QueueInfoNCE
from bod_keras.losses.sinkhorn import sinkhorn
from bod_keras.losses.swapped_prediction import SwappedPrediction
from bod_keras.losses.vicreg import VICReg

__all__ = [
    "BarlowTwins",
    "CosineRegression",
    "DecoupledLoss",
    "InfoNCE",
    "KoopmanPrediction",
    "LeJEPA",
    "QueueInfoNCE",
    "SwappedPrediction",
    "VICReg",
    "sinkhorn",
]
