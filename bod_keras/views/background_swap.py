"""Clips of the same motion over another video's background."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from bod_keras.backend.replicas import next_rows
from bod_keras.decoupling import SWAP_THRESHOLD
from bod_keras.errors import UserError

# What moves is grown by this part of the frame's shorter side, at least by a pixel.
_GROWN = 1 / 32


@keras.saving.register_keras_serializable("bod_keras")
class BackgroundSwap(keras.layers.Layer):
    """Put what moves in a clip over the background of the next clip of the batch, that of all replicas.

    The background b of a clip x is the median of its frames, pixel by pixel. What differs from it in any frame
    has moved; so has what lies within 1/32 of the frame's shorter side of that:

        y_t = x_t where max_(t, c) |x_t - b| > threshold, grown, elsewhere b of the next clip.

    One region for all frames holds a body that acts in place as a whole, not only its limbs.

    Two clips that share their motion and not their background cannot be matched by it, so a dynamic
    part that is contrasted between them has to know the motion: `motion_view` of `Decoupling`. It
    supposes a camera at rest: where that moves, almost everything counts as moving and stays as it is.

    Args:
        threshold: least difference from the background, of values in [0, 1], that counts as moving.

    Call arguments:
        clips: (B, T, H, W, 3) in [0, 1], B >= 2, or one clip keeps its background; T >= 3.

    Returns:
        Clips of the same shape and dtype.

    Raises:
        ValueError: a threshold out of (0, 1), or an input of another rank or of unknown time, height or width.

    Example:
        >>> import numpy as np, bod_keras
        >>> clips = np.zeros((2, 4, 8, 8, 3), "float32")
        >>> clips[1] += 0.5  # another background
        >>> for t in range(4):
        ...     clips[0, t, 3, 2 * t] = 1.0  # a dot that moves
        >>> swapped = bod_keras.BackgroundSwap()(clips)
        >>> float(swapped[0, 1, 3, 2, 0]), float(swapped[0, 1, 0, 0, 0])
        (1.0, 0.5)

    Reference:
        The idea is that of Ding et al., "Motion-aware Contrastive Video Representation Learning via
        Foreground-background Merging", CVPR 2022, arXiv 2109.15130, whose mask is another one.
    """

    def __init__(self, threshold: float = SWAP_THRESHOLD, **kwargs):
        super().__init__(**kwargs)
        if not 0 < threshold < 1:
            raise UserError(f"threshold must lie in (0, 1), 0.08 is usual. Received: {threshold}")
        self.threshold = threshold

    def call(self, clips):
        if len(clips.shape) != 5 or None in clips.shape[1:4]:
            raise UserError(
                f"{type(self).__name__} expects clips (batch, time, height, width, channels) of a known size. "
                f"Received: {tuple(clips.shape)}"
            )
        background = _median_frame(clips)
        kept = self.kept(self._moving(clips, background))
        return ops.where(kept, clips, self.donors(background))

    def donors(self, backgrounds: Any) -> Any:
        """Return the background that each clip gets; both are (B, 1, H, W, C)."""
        return next_rows(backgrounds)

    def kept(self, moving: Any) -> Any:
        """Return where a clip stays as it is; both are booleans (B, 1, H, W, 1)."""
        return moving

    def _moving(self, clips, background):
        change = ops.max(ops.abs(clips - background), axis=(1, 4), keepdims=True)
        moving = ops.cast(change > self.threshold, "float32")
        window = 2 * max(1, round(_GROWN * min(clips.shape[2:4]))) + 1
        grown = ops.max_pool(moving[:, 0], window, 1, "same", data_format="channels_last")
        return grown[:, None] > 0.5

    def compute_output_shape(self, input_shape):
        return input_shape

    def get_config(self):
        return {**super().get_config(), "threshold": self.threshold}


def _median_frame(clips):
    """The middle one of each pixel's sorted values in time, (B, 1, H, W, C); of an even number the upper."""
    frames = list(ops.unstack(clips, clips.shape[1], axis=1))
    # By exchanges of neighbors: frames are few, and on a CPU `ops.sort` takes two to fifty times as long.
    for turn in range(len(frames)):
        for i in range(turn % 2, len(frames) - 1, 2):
            one, other = frames[i], frames[i + 1]
            frames[i], frames[i + 1] = ops.minimum(one, other), ops.maximum(one, other)
    return frames[len(frames) // 2][:, None]
