"""Losses of embeddings, one value per video, in float32."""

from bod_keras.losses.info_nce import InfoNCE
from bod_keras.losses.koopman_prediction import KoopmanPrediction

__all__ = ["InfoNCE", "KoopmanPrediction"]
