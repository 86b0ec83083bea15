"""Frame -> part of it, resized: the same for every frame of a clip."""

from __future__ import annotations

import cv2
import numpy as np


def cut_out(frame: np.ndarray, box: tuple[int, ...], size: int) -> np.ndarray:
    """Cut a box out of a frame and resize it to a square; averages areas when both sides shrink.

    Args:
        frame: uint8 array `(height, width, 3)`.
        box: `(top, left, height, width)` in pixels.
        size: height and width of the result.

    Returns:
        uint8 array `(size, size, 3)`.

    Example:
        >>> import numpy as np
        >>> from bod_keras.data.augment.crops import cut_out
        >>> cut_out(np.zeros((20, 30, 3), np.uint8), (0, 5, 20, 20), 8).shape
        (8, 8, 3)
    """
    top, left, height, width = box
    return _resize(frame[top : top + height, left : left + width], size, size)


def shrink(frame: np.ndarray, size: int) -> np.ndarray:
    """Resize a frame so that its shorter side has a given length, and its shape stays.

    Args:
        frame: uint8 array `(height, width, 3)`.
        size: length of the shorter side of the result.

    Returns:
        uint8 array.

    Example:
        >>> import numpy as np
        >>> from bod_keras.data.augment.crops import shrink
        >>> shrink(np.zeros((20, 30, 3), np.uint8), 10).shape
        (10, 15, 3)
    """
    height, width = frame.shape[:2]
    scale = size / min(height, width)
    return _resize(frame, max(size, round(height * scale)), max(size, round(width * scale)))


def three_crops(clip: np.ndarray) -> np.ndarray:
    """Cut the three squares of the usual test protocol: both ends of the longer side, and its middle.

    Args:
        clip: uint8 array `(frames, height, width, 3)`.

    Returns:
        uint8 array `(3, frames, side, side, 3)`, side the shorter one of height and width: left,
        center and right, or top, center and bottom.

    Example:
        >>> import numpy as np
        >>> from bod_keras.data import three_crops
        >>> three_crops(np.zeros((4, 20, 30, 3), np.uint8)).shape
        (3, 4, 20, 20, 3)

        Source: the 30-view test of Feichtenhofer et al., "SlowFast Networks", ICCV 2019.
    """
    height, width = clip.shape[1:3]
    side = min(height, width)
    tops, lefts = ([(n - side) * place // 2 for place in range(3)] for n in (height, width))
    return np.stack([clip[:, t : t + side, x : x + side] for t, x in zip(tops, lefts)])


def _resize(image: np.ndarray, height: int, width: int) -> np.ndarray:
    shrinks = image.shape[0] >= height and image.shape[1] >= width
    method = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
    return cv2.resize(image, (width, height), interpolation=method)
