"""Which frames make a clip: pure integer functions, random ones with an explicit generator."""

from __future__ import annotations

import math

import numpy as np

from bod_keras.errors import UserError

GAP_LAWS = ("uniform", "decreasing")


def sample_rng(seed: int, epoch: int, index: int) -> np.random.Generator:
    """Make the generator of one sample, a pure function of three integers.

    Args:
        seed: seed of the run, >= 0.
        epoch: epoch number, >= 0.
        index: index of the record, >= 0.

    Returns:
        A NumPy generator; equal triples give equal streams, different triples independent ones.

    Example:

    >>> first, again = sample_rng(1, 2, 3), sample_rng(1, 2, 3)
    >>> bool(first.integers(1000) == again.integers(1000))
    True
    """
    return np.random.default_rng([seed, epoch, index])


def clip_span(frames: int, stride: int) -> int:
    """Give the number of video frames that a clip covers, `(frames - 1) * stride + 1`.

    Args:
        frames: frames of the clip, >= 1.
        stride: distance of neighbouring clip frames in the video, >= 1.

    Returns:
        The span in frames.

    Raises:
        ValueError: if an argument is below 1.

    Example:

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
        stride: distance of neighbouring clip frames in the video.
        start: frame number of the first frame.

    Returns:
        int64 array `(frames,)`.

    Raises:
        ValueError: if a count is below 1 or `start` is not a frame of the video.

    Example:

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
    num_frames: int,
    frames: int,
    stride: int,
    views: int,
    rng: np.random.Generator,
    min_gap: int = 0,
    gap_law: str = "uniform",
) -> np.ndarray:
    """Draw the frame numbers of several clips of one video.

    Let `S = max(1, num_frames - span + 1)` be the number of possible starts.

    "uniform": without a gap the starts are independent and uniform. With `min_gap = g >= 1` the
    tuple of starts is uniform over all tuples with pairwise distances of at least `g`: draw `views`
    distinct numbers `z_1 < z_2 < ...` out of `S - (views - 1)(g - 1)`, spread them to
    `z_i + (i - 1)(g - 1)`, and shuffle. If the video is too short for the gap, `g` becomes the widest
    possible one, `(S - 1) // (views - 1)`.

    "decreasing", of two views: the distance of the starts has the linearly decreasing density
    `2 / S (1 - k / S)` on [0, S), rounded down: `floor(S (1 - sqrt(1 - u)))` with u uniform. The
    earlier start is uniform over what the distance leaves, and the order is shuffled.

    A video shorter than the clip has the single start 0 and is looped.

    Args:
        num_frames: frames of the video.
        frames: frames of a clip.
        stride: distance of neighbouring clip frames in the video.
        views: number of clips.
        rng: random generator.
        min_gap: least distance between the starts of any two views, in frames of the video.
        gap_law: "uniform" or "decreasing".

    Returns:
        int64 array `(views, frames)`.

    Raises:
        ValueError: if a count is below 1, `min_gap` is negative, or `gap_law` is unknown or does
            not go with the other arguments.

    Example:

    >>> clips = sample_views(100, 8, 2, views=2, rng=np.random.default_rng(0), min_gap=20)
    >>> clips.shape, bool(abs(clips[0, 0] - clips[1, 0]) >= 20)
    ((2, 8), True)

    Source: the decreasing law is that of Qian et al., "Spatiotemporal Contrastive Video
    Representation Learning", CVPR 2021, as their code has it.
    """
    _check_views(views)
    check_gap_law(gap_law, views, min_gap)
    starts = _last_start(num_frames, frames, stride) + 1
    if gap_law == "decreasing":
        distance = min(starts - 1, int(starts * (1 - math.sqrt(1 - rng.random()))))
        first = rng.integers(starts - distance)
        chosen = rng.permutation([first, first + distance])
        return np.stack([clip_indices(num_frames, frames, stride, int(s)) for s in chosen])
    gap = min(min_gap, (starts - 1) // (views - 1)) if views > 1 else 0
    if gap == 0:
        chosen = rng.integers(starts, size=views)
    else:
        room = starts - (views - 1) * (gap - 1)
        chosen = np.sort(rng.choice(room, views, replace=False)) + (gap - 1) * np.arange(views)
        chosen = rng.permutation(chosen)
    return np.stack([clip_indices(num_frames, frames, stride, int(s)) for s in chosen])


def even_views(num_frames: int, frames: int, stride: int, views: int) -> np.ndarray:
    """Give the frame numbers of evenly spaced clips, for evaluation.

    Start `i` is `i * last // (views - 1)`, from the first to the last possible start; a single
    view is centred, `last // 2`.

    Args:
        num_frames: frames of the video.
        frames: frames of a clip.
        stride: distance of neighbouring clip frames in the video.
        views: number of clips.

    Returns:
        int64 array `(views, frames)`.

    Raises:
        ValueError: if a count is below 1.

    Example:

    >>> even_views(num_frames=10, frames=4, stride=1, views=3)[:, 0].tolist()
    [0, 3, 6]
    """
    _check_views(views)
    last = _last_start(num_frames, frames, stride)
    starts = [last // 2] if views == 1 else [i * last // (views - 1) for i in range(views)]
    return np.stack([clip_indices(num_frames, frames, stride, s) for s in starts])


def check_gap_law(gap_law: str, views: int, min_gap: int) -> None:
    """Refuse what `sample_views` cannot draw.

    Args:
        gap_law: as there.
        views: as there.
        min_gap: as there.

    Raises:
        ValueError: as there.

    Example:

    >>> check_gap_law("decreasing", views=2, min_gap=0)
    """
    if min_gap < 0:
        raise UserError(f"min_gap must be at least 0 frames. Received: min_gap={min_gap}")
    if gap_law not in GAP_LAWS:
        raise UserError(f"gap_law must be one of {GAP_LAWS}. Received: {gap_law!r}")
    if gap_law == "decreasing" and (views != 2 or min_gap):
        raise UserError(
            "gap_law='decreasing' is a law of two views without min_gap; use 'uniform' for others. "
            f"Received: views={views}, min_gap={min_gap}"
        )


def _last_start(num_frames: int, frames: int, stride: int) -> int:
    if num_frames < 1:
        raise UserError(f"num_frames must be at least 1. Received: num_frames={num_frames}")
    return max(0, num_frames - clip_span(frames, stride))


def _check_views(views: int) -> None:
    if views < 1:
        raise UserError(f"views must be at least 1. Received: views={views}")
