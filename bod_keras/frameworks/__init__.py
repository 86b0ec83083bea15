"""Video contrastive frameworks, each plain or decoupled by one argument."""

from bod_keras.frameworks.base import ContrastiveModel
from bod_keras.frameworks.key_queue import KeyQueue
from bod_keras.frameworks.momentum import MomentumModel
from bod_keras.frameworks.projection_head import ProjectionHead
from bod_keras.frameworks.prototypes import Prototypes
from bod_keras.frameworks.vbarlow_twins import VBarlowTwins
from bod_keras.frameworks.vbyol import VBYOL
from bod_keras.frameworks.vmoco import VMoCo
from bod_keras.frameworks.vsimclr import VSimCLR
from bod_keras.frameworks.vsimsiam import VSimSiam
from bod_keras.frameworks.vswav import VSwAV
from bod_keras.frameworks.vvicreg import VVICReg

__all__ = [
    "ContrastiveModel",
    "KeyQueue",
    "MomentumModel",
    "ProjectionHead",
    "Prototypes",
    "VBYOL",
    "VBarlowTwins",
    "VMoCo",
    "VSimCLR",
    "VSimSiam",
    "VSwAV",
    "VVICReg",
]
