"""Clips that show what moves in one video and the background of another."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from bod_keras.backend import replicas
from bod_keras.views.background_swap import BackgroundSwap

# Where more of the frame moves, little of the other video would be seen.
_MOST = 0.9


@keras.saving.register_keras_serializable("bod_keras")
class BackgroundMix(BackgroundSwap):
    """Show two videos in each clip of the first half of a batch, that of all replicas; the rest stays as it is.

    What moves in clip i of the first half stands over the background of clip i - 1 of it, around its ends
    (`partners`). This is as in `BackgroundSwap`, except that where more than nine tenths of the frame move, as
    under a moving camera, only the left half of the clip is kept: both videos are always seen, which
    `static_mix` of `Decoupling` counts on.

    Args:
        threshold: as in `BackgroundSwap`.

    Call arguments:
        clips: (B, T, H, W, 3) in [0, 1]; T >= 3. Of fewer than 4 clips nothing is mixed.

    Returns:
        Clips of the same shape and dtype.

    Raises:
        ValueError: as `BackgroundSwap`.

    Example:
        >>> import numpy as np, bod_keras
        >>> clips = np.zeros((4, 4, 8, 8, 3), "float32")
        >>> clips[1] += np.linspace(0, 0.4, 4)[:, None, None, None]  # all of it moves
        >>> mixed = bod_keras.BackgroundMix()(clips)
        >>> [round(float(mixed[1, 3, 0, column, 0]), 2) for column in (0, 7)]
        [0.4, 0.0]

    Reference:
        Yun et al., "CutMix", arXiv 1905.04899, mixes labels by the shares of two images. That clips are cut
        where something moves, and the loss, are ours.
    """

    @staticmethod
    def partners(x: Any) -> Any:
        """For each row of the joint batch that of the video whose background its clip has, or itself."""
        half = ops.shape(x)[0] // 2
        return ops.concatenate([ops.roll(x[:half], 1, axis=0), x[half:]])

    def donors(self, backgrounds):
        return replicas.own_rows(self.partners(replicas.gather(backgrounds)))

    def kept(self, moving):
        share = ops.mean(ops.cast(moving, "float32"), axis=(1, 2, 3, 4), keepdims=True)
        width = moving.shape[3]
        left = ops.reshape(ops.arange(width) < width // 2, (1, 1, 1, width, 1))
        rows = replicas.row_numbers(moving)
        alone = replicas.own_rows(ops.equal(self.partners(rows), rows))
        return ops.logical_or(
            ops.where(share > _MOST, left, moving), alone[:, None, None, None, None]
        )
