"""Encoders: clips (B, T, H, W, 3) to frame features (B, T', C), pooled over space only."""

from bod_keras.encoders.frame_cnn import FrameCNN
from bod_keras.encoders.r3d import R3D18
from bod_keras.encoders.remat_model import RematModel
from bod_keras.encoders.slow_only import SlowOnlyR50

__all__ = ["FrameCNN", "R3D18", "RematModel", "SlowOnlyR50"]
