"""A background of sinusoid stripes."""

from __future__ import annotations

import numpy as np

_PUBLISHED = 224  # pixels of the clips for which amplitude and width were given


def stripes(size: int, rng: np.random.Generator) -> np.ndarray:
    """Draw stripes A sin(2 pi u / w + t) + 128 along a random direction u, in gray.

    A is drawn in [10, 110], the width w in [5, 20] pixels of a picture of 224 (at least 2 of a smaller one),
    the phase t and the direction in all turns.

    Args:
        size: height and width in pixels.
        rng: of the four draws.

    Returns:
        float32 (size, size, 3) in [0, 1].

    Example:
        >>> import numpy as np
        >>> from bod_keras.evaluation.bias import stripes
        >>> background = stripes(32, np.random.default_rng(0))
        >>> background.shape, bool(background.std() > 0)
        ((32, 32, 3), True)

    Reference:
        Li et al., "Mitigating and Evaluating Static Bias of Action Representations in the Background and the
        Foreground", ICCV 2023, arXiv 2211.12883.
    """
    amplitude, turn, phase = rng.uniform(10, 110), *rng.uniform(0, 2 * np.pi, 2)
    width = max(2.0, rng.uniform(5, 20) * size / _PUBLISHED)
    y, x = np.mgrid[:size, :size]
    along = np.cos(turn) * x + np.sin(turn) * y
    values = (amplitude * np.sin(2 * np.pi * along / width + phase) + 128) / 255
    return np.repeat(values[..., None], 3, axis=-1).astype("float32")
