"""Encoders: clips (B, T, H, W, 3) to frame features (B, T', C), pooled over space only."""

from bod_keras.encoders._blocks import ENCODERS
from bod_keras.encoders.c3d import C3D
from bod_keras.encoders.feature_map import feature_map
from bod_keras.encoders.features import Features
from bod_keras.encoders.frame_cnn import FrameCNN
from bod_keras.encoders.frame_encoder import FrameEncoder
from bod_keras.encoders.mc3 import MC3_18
from bod_keras.encoders.mixing import mixes_frames
from bod_keras.encoders.r2plus1d import R2Plus1D18
from bod_keras.encoders.r3d import R3D18
from bod_keras.encoders.remat_model import RematModel
from bod_keras.encoders.repeat_edges import repeat_edges
from bod_keras.encoders.s3d import S3D
from bod_keras.encoders.slow_only import SlowOnlyR50
from bod_keras.encoders.vit import VideoViT

__all__ = [
    "ENCODERS",
    "C3D",
    "MC3_18",
    "R3D18",
    "S3D",
    "Features",
    "FrameCNN",
    "FrameEncoder",
    "R2Plus1D18",
    "RematModel",
    "SlowOnlyR50",
    "VideoViT",
    "feature_map",
    "mixes_frames",
    "repeat_edges",
]
