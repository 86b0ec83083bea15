"""Shapes that only motion shows: noise that drifts before noise that drifts the other way."""

from __future__ import annotations

import numpy as np

from bod_keras.errors import UserError

_WAYS = ((1, 0), (1, 1), (0, 1), (-1, 1), (-1, 0), (-1, -1), (0, -1), (1, -1))


def render_noise(
    shape: np.ndarray, direction: int, frames: int, rng: np.random.Generator
) -> np.ndarray:
    """Render a shape of noise that drifts one pixel a frame, while the noise around it drifts the other way.

    With n and m two images of noise, gray values that are drawn independently and evenly from 0..255, frame t
    is n, shifted by t in the direction, where the shape is, and m, shifted by -t, elsewhere, both around the
    edges:

        frame_t(x) = n(x - t w) if x in shape else m(x + t w).

    So the values of each single frame are independent and even, whatever the shape and the direction: one frame
    says nothing of either.

    Args:
        shape: boolean array (size, size), which stays where it is.
        direction: integer, multiples of 45 degrees; 0 is to the right, 2 is down.
        frames: number of frames; up to `size` of them no pixel sees a value twice.
        rng: of the noise.

    Returns:
        uint8 array (frames, size, size, 3), RGB.

    Raises:
        UserError: another shape, or no frame.

    Example:
        >>> import numpy as np
        >>> from bod_keras.data import render_noise
        >>> shape = np.zeros((8, 8), bool)
        >>> shape[2:6, 2:6] = True
        >>> clip = render_noise(shape, 0, 3, np.random.default_rng(0))
        >>> bool((clip[1, 2:6, 3:6] == clip[0, 2:6, 2:5]).all())
        True

    Reference:
        The idea is that of SpookyBench: Upadhyay et al., "Time Blindness", arXiv 2505.24867.
    """
    if getattr(shape, "ndim", 0) != 2 or shape.dtype.kind != "b":
        raise UserError(
            "shape must be a boolean array (size, size), such as mask > 0.5. Received: "
            f"{getattr(shape, 'dtype', type(shape).__name__)} {getattr(shape, 'shape', '')}"
        )
    if frames < 1:
        raise UserError(f"frames must be at least 1. Received: frames={frames}")
    x, y = _WAYS[direction % 8]
    inside, outside = rng.integers(0, 256, (2, *shape.shape), np.uint8)
    clip = [
        np.where(
            shape,
            np.roll(inside, (t * y, t * x), (0, 1)),
            np.roll(outside, (-t * y, -t * x), (0, 1)),
        )
        for t in range(frames)
    ]
    return np.repeat(np.stack(clip)[..., None], 3, axis=-1)
