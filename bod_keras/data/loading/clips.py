"""Which frames make a clip: pure integer functions, random ones with an explicit generator."""

from __future__ import annotations

import numpy as np

from bod_keras.errors import UserError


def sample_rng(seed: int, epoch: int, index: int) -> np.random.Generator:
    """Make the generator of one sample, a pure function of three integers.

    Args:
        seed: seed of the run, >= 0.
        epoch: epoch number, >= 0.
        index: index of the record, >= 0.

    Returns:
        A NumPy generator; equal triples give equal streams, different triples independent ones.

    Example:
        >>> from bod_keras.data import sample_rng
        >>> first, again = sample_rng(1, 2, 3), sample_rng(1, 2, 3)
        >>> bool(first.integers(1000) == again.integers(1000))
        True
    """
    return np.random.default_rng([seed, epoch, index])


def clip_span(frames: int, stride: int) -> int:
    """Give the number of video frames that a clip covers, `(frames - 1) * stride + 1`.

    Args:
        frames: frames of the clip, >= 1.
        stride: distance of neighboring clip frames in the video, >= 1.

    Returns:
        The span in frames.

    Raises:
        ValueError: if an argument is below 1.

    Example:
        >>> from bod_keras.data import clip_span
        >>> clip_span(16, 2)
        31
    """
    if frames < 1 or stride < 1:
        raise UserError(
            f"frames and stride must be at least 1. Received: frames={frames}, stride={stride}"
        )
    return (frames - 1) * stride + 1


def clip_indices(num_frames: int, frames: int, stride: int, start: int) -> np.ndarray:
    """Give the frame numbers of one clip, `(start + t * stride) mod num_frames`.

    Args:
        num_frames: frames of the video, >= 1; a shorter video than the clip is looped.
        frames: frames of the clip.
        stride: distance of neighboring clip frames in the video.
        start: frame number of the first frame.

    Returns:
        int64 array `(frames,)`.

    Raises:
        ValueError: if a count is below 1 or `start` is not a frame of the video.

    Example:
        >>> from bod_keras.data import clip_indices
        >>> clip_indices(num_frames=5, frames=4, stride=2, start=0).tolist()
        [0, 2, 4, 1]
    """
    clip_span(frames, stride)
    _last_start(num_frames, frames, stride)
    if not 0 <= start < num_frames:
        raise UserError(
            f"start must be a frame of the video, 0 to {num_frames - 1}. Received: start={start}"
        )
    return (start + stride * np.arange(frames, dtype=np.int64)) % num_frames


def sample_views(
    num_frames: int, frames: int, stride: int, views: int, rng: np.random.Generator
) -> np.ndarray:
    """Draw the frame numbers of several clips of one video.

    The starts are independent and uniform over all possible ones. A video shorter than the clip has
    the single start 0 and is looped.

    Args:
        num_frames: frames of the video.
        frames: frames of a clip.
        stride: distance of neighboring clip frames in the video.
        views: number of clips.
        rng: random generator.

    Returns:
        int64 array `(views, frames)`.

    Raises:
        UserError: a count is below 1.

    Example:
        >>> import numpy as np
        >>> from bod_keras.data import sample_views
        >>> sample_views(100, 8, 2, views=2, rng=np.random.default_rng(0)).shape
        (2, 8)
    """
    _check_views(views)
    starts = rng.integers(_last_start(num_frames, frames, stride) + 1, size=views)
    return np.stack([clip_indices(num_frames, frames, stride, int(s)) for s in starts])


def even_views(num_frames: int, frames: int, stride: int, views: int) -> np.ndarray:
    """Give the frame numbers of evenly spaced clips, for evaluation.

    Start `i` is `i * last // (views - 1)`, from the first to the last possible start; a single
    view is centered, `last // 2`.

    Args:
        num_frames: frames of the video.
        frames: frames of a clip.
        stride: distance of neighboring clip frames in the video.
        views: number of clips.

    Returns:
        int64 array `(views, frames)`.

    Raises:
        ValueError: if a count is below 1.

    Example:
        >>> from bod_keras.data import even_views
        >>> even_views(num_frames=10, frames=4, stride=1, views=3)[:, 0].tolist()
        [0, 3, 6]
    """
    _check_views(views)
    last = _last_start(num_frames, frames, stride)
    starts = [last // 2] if views == 1 else [i * last // (views - 1) for i in range(views)]
    return np.stack([clip_indices(num_frames, frames, stride, s) for s in starts])


def _last_start(num_frames: int, frames: int, stride: int) -> int:
    if num_frames < 1:
        raise UserError(f"num_frames must be at least 1. Received: num_frames={num_frames}")
    return max(0, num_frames - clip_span(frames, stride))


def _check_views(views: int) -> None:
    if views < 1:
        raise UserError(f"views must be at least 1. Received: views={views}")
