"""Clips that show what moves in one video and the background of another."""

from __future__ import annotations

import keras
from keras import ops

from bod_keras.views.background_swap import BackgroundSwap

# Where more of the frame moves, little of the other video would be seen.
_MOST = 0.9


@keras.saving.register_keras_serializable("bod_keras")
class BackgroundMix(BackgroundSwap):
    """Put what moves in a clip over the background of the previous clip, so that each clip shows two videos.

    As `BackgroundSwap`, except that where more than nine tenths of the frame move, as under a moving camera,
    only the left half of the clip is kept: both videos are always seen, which `static_mix` of `Decoupling`
    counts on.

    Args:
        threshold: as in `BackgroundSwap`.

    Call arguments:
        clips: (B, T, H, W, 3) in [0, 1], B >= 2, or one clip keeps its background; T >= 3.

    Returns:
        Clips of the same shape and dtype.

    Raises:
        ValueError: as `BackgroundSwap`.

    Example:
        >>> import numpy as np, bod_keras
        >>> clips = np.zeros((2, 4, 8, 8, 3), "float32")
        >>> clips[1] += np.linspace(0, 0.4, 4)[:, None, None, None]  # all of it moves
        >>> mixed = bod_keras.BackgroundMix()(clips)
        >>> [round(float(mixed[1, 3, 0, column, 0]), 2) for column in (0, 7)]
        [0.4, 0.0]

    Reference:
        Yun et al., "CutMix", arXiv 1905.04899, mixes labels by the shares of two images. That clips are cut
        where something moves, and the loss, are ours.
    """

    _donor = -1

    def kept(self, moving):
        share = ops.mean(ops.cast(moving, "float32"), axis=(1, 2, 3, 4), keepdims=True)
        width = moving.shape[3]
        left = ops.reshape(ops.arange(width) < width // 2, (1, 1, 1, width, 1))
        return ops.where(share > _MOST, left, moving)
