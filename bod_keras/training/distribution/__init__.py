"""One run on several devices and processes, by the engine of each backend."""

from bod_keras.training.distribution.choose import KINDS, choose_distribution
from bod_keras.training.distribution.one_process import Distribution

__all__ = ["Distribution", "KINDS", "choose_distribution"]
