"""Video contrastive frameworks, each plain or decoupled by one argument."""

from bod_keras.frameworks.base import ContrastiveModel
from bod_keras.frameworks.projection_head import ProjectionHead
from bod_keras.frameworks.vsimclr import VSimCLR

__all__ = ["ContrastiveModel", "ProjectionHead", "VSimCLR"]
