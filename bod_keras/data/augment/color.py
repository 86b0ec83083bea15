"""One affine color map, applied to the frames of a clip."""

from __future__ import annotations

import cv2
import numpy as np


def apply_color(clip: np.ndarray, matrix: np.ndarray) -> np.ndarray:
    """Apply one affine color map to all frames of a clip.

    Args:
        clip: uint8 array `(frames, height, width, 3)`, RGB.
        matrix: float array `(3, 4)`, from `jitter_matrix`.

    Returns:
        uint8 array of the same shape, rounded and limited to 0..255.

    Example:
        >>> import numpy as np
        >>> from bod_keras.data import apply_color, jitter_matrix
        >>> clip = np.full((2, 4, 4, 3), 100, np.uint8)
        >>> int(apply_color(clip, jitter_matrix(brightness=1.5)).max())
        150
    """
    # The clip as one tall image: a color map has no neighbors, so frames cannot mix.
    tall = clip.reshape(-1, clip.shape[2], 3)
    return cv2.transform(tall, matrix).reshape(clip.shape)
