"""How much a representation moves when a clip is changed."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from bod_keras.errors import UserError
from bod_keras.feature_checks import check_features, check_widths


def sensitivity(original: ArrayLike, changed: ArrayLike) -> float:
    """Return how far representations move by a change, in units of the distance between videos.

        mean_i |f(x_i) - f(x'_i)| / mean_{i != j} |f(x_i) - f(x_j)|

    0: the change goes unnoticed; 1: it moves a clip as far as another video is away.

    Args:
        original: f(x) of N different videos, (N, K), N at least 2.
        changed: f(x') of the same clips, changed.

    Returns:
        The ratio; NaN if all videos have one representation, which then tells nothing apart.

    Raises:
        ValueError: if shapes disagree, there is one video, or values are not finite.

    Example:
        >>> import numpy as np
        >>> from bod_keras.evaluation import sensitivity
        >>> videos = np.array([[0.0], [4.0]])
        >>> sensitivity(videos, videos), sensitivity(videos, videos + 1)
        (0.0, 0.25)
    """
    original = check_features(original, "original")
    changed = check_features(changed, "changed")
    check_widths(original, changed, "original and changed")
    if len(original) != len(changed) or len(original) < 2:
        raise UserError(
            f"original and changed must be of the same videos, two or more. Received: {len(original)} and "
            f"{len(changed)}. Pass the clips in one order."
        )
    squares = np.sum(original**2, axis=1)
    distance = np.sqrt(np.maximum(squares[:, None] + squares - 2 * original @ original.T, 0.0))
    videos = len(original)
    between = (distance.sum() - np.trace(distance)) / (videos * (videos - 1))
    moved = np.linalg.norm(original - changed, axis=1).mean()
    # Rounding of the products above, not a distance.
    if between <= 1e-6 * np.sqrt(squares.max()):
        return float("nan")
    return float(moved / between)


def shuffle_frames(clips: ArrayLike, rng: np.random.Generator) -> np.ndarray:
    """Shuffle the frames of every clip (B, T, H, W, C), T at least 2; no clip keeps its order."""
    clips = np.asarray(clips)
    frames = np.arange(clips.shape[1])
    out = np.empty_like(clips)
    for row, clip in enumerate(clips):
        order = rng.permutation(frames)
        while (order == frames).all():
            order = rng.permutation(frames)
        out[row] = clip[order]
    return out
