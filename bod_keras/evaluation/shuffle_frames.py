"""Clips whose frames have lost their order."""

import numpy as np


def shuffle_frames(clips: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Put the frames of every clip (B, T, H, W, C), T at least 2, in another order than they have.

    Example:
        >>> import numpy as np
        >>> from bod_keras.evaluation import shuffle_frames
        >>> clip = np.arange(3.0).reshape(1, 3, 1, 1, 1)
        >>> shuffle_frames(clip, np.random.default_rng(0)).ravel().tolist()
        [2.0, 0.0, 1.0]
    """
    clips = np.asarray(clips)
    frames = np.arange(clips.shape[1])
    out = np.empty_like(clips)
    for row, clip in enumerate(clips):
        order = rng.permutation(frames)
        while (order == frames).all():
            order = rng.permutation(frames)
        out[row] = clip[order]
    return out
