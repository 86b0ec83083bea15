"""Frame features -> loss: what differs between v-SimCLR, v-MoCo, v-BYOL and the others.

Every module that registers a framework is found automatically: a new framework is a new file.
"""

from bod_keras.frameworks.base import FRAMEWORKS, ContrastiveModel
from bod_keras.frameworks.key_queue import KeyQueue
from bod_keras.frameworks.momentum import MomentumModel
from bod_keras.frameworks.part_heads import PartHeads
from bod_keras.frameworks.projection_head import ProjectionHead
from bod_keras.frameworks.prototypes import Prototypes

globals().update({framework.__name__: framework for _, framework in FRAMEWORKS.items()})

__all__ = [
    "FRAMEWORKS",
    "ContrastiveModel",
    "KeyQueue",
    "MomentumModel",
    "PartHeads",
    "ProjectionHead",
    "Prototypes",
    *(framework.__name__ for _, framework in FRAMEWORKS.items()),
]
