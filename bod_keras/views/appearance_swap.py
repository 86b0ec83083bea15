"""Clips of the same motion in other colors, over another video's background."""

from __future__ import annotations

import math

import keras
from keras import ops

from bod_keras.backend import replicas
from bod_keras.backend.replicas import own_rows
from bod_keras.decoupling import SWAP_THRESHOLD
from bod_keras.views.background_swap import BackgroundSwap
from bod_keras.views.hue import hue_rotations

_GAINS = (0.6, 1.2)


@keras.saving.register_keras_serializable("bod_keras")
class AppearanceSwap(BackgroundSwap):
    """Put what moves in a clip over the background of the next clip, and turn all colors.

    With y the clip that `BackgroundSwap` makes, each clip's colors are

        clip(0.5 + g R(a) (y - 0.5), 0, 1),

    R(a) the rotation about the gray axis (1, 1, 1) by an angle a drawn evenly from the circle, which turns the
    hue, and g a gain drawn evenly from [0.6, 1.2]. What moves keeps its colors in a `BackgroundSwap`, and a
    dynamic part can match two clips by them. Here only shape and motion are left.

    Args:
        threshold: least difference from the background, of values in [0, 1], that counts as moving.
        seed: an integer; None for a random one. The state of the draws is saved with a model.

    Call arguments:
        clips: (B, T, H, W, 3) in [0, 1], B >= 2, or one clip keeps its background; T >= 3.
        training: whether to turn colors; otherwise they stay as they are.

    Returns:
        Clips of the same shape and dtype.

    Raises:
        ValueError: as `BackgroundSwap`.

    Example:
        >>> import numpy as np, bod_keras
        >>> clips = np.random.default_rng(0).uniform(size=(2, 4, 8, 8, 3)).astype("float32")
        >>> tuple(bod_keras.AppearanceSwap(seed=0)(clips, training=True).shape)
        (2, 4, 8, 8, 3)

    Reference:
        As `BackgroundSwap`; that the colors turn is ours, docs/findings.md tells what it brings.
    """

    def __init__(self, threshold: float = SWAP_THRESHOLD, seed: int | None = None, **kwargs):
        super().__init__(threshold, **kwargs)
        self.seed = seed
        self._generator = keras.random.SeedGenerator(seed)
        self.built = True

    def call(self, clips, training=False):
        swapped = super().call(clips)
        if not training:
            return swapped
        # Replicas draw alike: each takes its own.
        joint = (ops.shape(clips)[0] * replicas.count(), 2)
        draws = own_rows(keras.random.uniform(joint, dtype="float32", seed=self._generator))
        angles, gains = 2 * math.pi * draws[:, 0], _GAINS[0] + (_GAINS[1] - _GAINS[0]) * draws[:, 1]
        turns = ops.cast(gains[:, None, None] * hue_rotations(angles), swapped.dtype)
        shape = ops.shape(swapped)
        centered = ops.reshape(swapped - 0.5, (shape[0], -1, 3))
        turned = ops.matmul(centered, ops.transpose(turns, (0, 2, 1)))
        return ops.clip(ops.reshape(turned, shape) + 0.5, 0.0, 1.0)

    def get_config(self):
        return {**super().get_config(), "seed": self.seed}
