"""Color jitter as one affine map: brightness, contrast, saturation, hue and gray, composed."""

from __future__ import annotations

import math

import numpy as np

# Rec. 601 luma, what OpenCV, TensorFlow and PyTorch call gray.
GRAY_WEIGHTS = (0.299, 0.587, 0.114)


def jitter_matrix(
    *,
    brightness: float = 1.0,
    contrast: float = 1.0,
    saturation: float = 1.0,
    hue: float = 0.0,
    gray: bool = False,
    mean_gray: float = 127.5,
) -> np.ndarray:
    """Compose color changes into one 3 x 4 matrix `[M | o]`, applied as `M rgb + o`.

    In this order, without clipping in between: `x <- b x`; `x <- c x + (1 - c) b g 1`, `g` the mean
    gray of the clip; `x <- s x + (1 - s) gray(x)`; a rotation by `2 pi hue` about the gray axis
    (1, 1, 1), which turns the hue (to within about 2 degrees of the HSV hue) and keeps r + g + b;
    last the projection to gray.

    Args:
        brightness: factor b, 1 for no change.
        contrast: factor c, 1 for no change.
        saturation: factor s, 1 for no change.
        hue: turn as a share of the full circle, 0 for no change.
        gray: whether the result is gray.
        mean_gray: mean gray of the clip, on the scale of its values.

    Returns:
        float64 array `(3, 4)`.

    Example:
        >>> import numpy as np
        >>> from bod_keras.data import jitter_matrix
        >>> bool(np.allclose(jitter_matrix(), np.eye(3, 4)))
        True
    """
    ones = np.ones((3, 3)) / 3
    to_gray = np.tile(GRAY_WEIGHTS, (3, 1))
    matrix = brightness * contrast * np.eye(3)
    offset = np.full(3, (1 - contrast) * brightness * mean_gray)
    angle = 2 * math.pi * hue
    cross = np.array([[0, -1, 1], [1, 0, -1], [-1, 1, 0]]) / math.sqrt(3)
    rotation = math.cos(angle) * np.eye(3) + (1 - math.cos(angle)) * ones + math.sin(angle) * cross
    after = rotation @ (saturation * np.eye(3) + (1 - saturation) * to_gray)
    if gray:
        after = to_gray @ after
    return np.concatenate([after @ matrix, (after @ offset)[:, None]], axis=1)
