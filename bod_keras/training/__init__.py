"""Losses to updated weights: the bi-level update and what a run needs around it."""

from bod_keras.training.bilevel import BiLevel
from bod_keras.training.model import BiLevelModel

__all__ = ["BiLevel", "BiLevelModel"]
