"""Keras layers that make a view of a clip: the same appearance, or the same motion."""

from bod_keras.views.background_swap import BackgroundSwap
from bod_keras.views.clip_augmenter import ClipAugmenter
from bod_keras.views.frame_shuffle import FrameShuffle

__all__ = ["BackgroundSwap", "ClipAugmenter", "FrameShuffle"]
