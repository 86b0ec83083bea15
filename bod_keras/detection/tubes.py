"""Tubes: the boxes of one person through the frames of a video, and how boxes are linked to them."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from bod_keras.detection.box_iou import box_iou
from bod_keras.errors import UserError


class Tube(NamedTuple):
    """Boxes of one person in frames of one video.

    Args:
        video: name of the video.
        frames: int `(n,)`, rising.
        corners: float `(n, 4)`, left, top, right, bottom.
        label: class number of an annotated tube; None of a detected one, which has scores.
        scores: float `(classes,)` of a detected tube; None of an annotated one.

    Example:
        >>> import numpy as np
        >>> from bod_keras.detection import Tube
        >>> Tube("a", np.array([0, 1]), np.zeros((2, 4)), label=3).label
        3
    """

    video: str
    frames: np.ndarray
    corners: np.ndarray
    label: int | None = None
    scores: np.ndarray | None = None


def link_tubes(
    video: str,
    frames: np.ndarray,
    corners: np.ndarray,
    scores: np.ndarray,
    *,
    threshold: float = 0.3,
    gap: int = 5,
) -> list[Tube]:
    """Link the boxes of a video to tubes, greedily by overlap, from its first frame to its last.

    In each frame the pair of a tube and a box with the greatest intersection over union (with the
    tube's last box) is linked first, then the greatest of what is left, down to the threshold. A box
    that is left begins a tube. A tube that has found no box in more than `gap` frames has ended;
    where it went on after a shorter gap, the boxes in between are interpolated. Its scores are the
    mean over its boxes. Boxes are of persons, not of classes, so each is linked once, for all classes.

    Args:
        video: name of the video.
        frames: int `(n,)`, frame number of each box.
        corners: float `(n, 4)`.
        scores: float `(n, classes)`.
        threshold: least intersection over union of neighboring boxes.
        gap: frames that a tube may miss.

    Returns:
        List of `Tube`, in the order of their first frames.

    Raises:
        ValueError: if the lengths differ.

    Example:
        >>> import numpy as np
        >>> from bod_keras.detection import link_tubes
        >>> box, score = np.array([0.0, 0.0, 1.0, 1.0]), np.array([[0.2, 0.8]])
        >>> (tube,) = link_tubes("a", np.array([0, 2]), np.stack([box, box + 0.2]), score.repeat(2, 0))
        >>> tube.frames.tolist(), tube.corners[1].tolist(), tube.scores.tolist()
        ([0, 1, 2], [0.1, 0.1, 1.1, 1.1], [0.2, 0.8])

    Reference:
        after Singh et al., "Online Real-time Multiple Spatiotemporal Action Localisation and
        Prediction", ICCV 2017, whose detections are of one class each and are linked by class and score.
    """
    frames, corners, scores = np.asarray(frames), np.asarray(corners, float), np.asarray(scores)
    if not len(frames) == len(corners) == len(scores):
        raise UserError(
            "frames, corners and scores must have one entry a box. "
            f"Received: {len(frames)}, {len(corners)} and {len(scores)}"
        )
    chains: list[list[int]] = []
    for frame in np.unique(frames):
        here = np.flatnonzero(frames == frame)
        open_ = [chain for chain in chains if frame - frames[chain[-1]] <= gap + 1]
        overlaps = box_iou(corners[[chain[-1] for chain in open_]].reshape(-1, 4), corners[here])
        left = set(range(len(here)))
        while overlaps.size and overlaps.max() >= threshold:
            tube, box = np.unravel_index(overlaps.argmax(), overlaps.shape)
            open_[tube].append(int(here[box]))
            left.discard(int(box))
            overlaps[tube], overlaps[:, box] = -1, -1
        chains += [[int(here[box])] for box in sorted(left)]
    return [_tube(video, frames[chain], corners[chain], scores[chain]) for chain in chains]


def tube_iou(one: Tube, other: Tube) -> float:
    """Return the spatio-temporal overlap of two tubes, in [0, 1]; 0 of tubes in different videos.

    The share of common frames in those of either tube, times the mean intersection over union in
    the common ones.

    Example:
        >>> import numpy as np
        >>> from bod_keras.detection import Tube, tube_iou
        >>> box = np.array([[0.0, 0.0, 1.0, 1.0]])
        >>> one = Tube("a", np.arange(4), box.repeat(4, 0))
        >>> tube_iou(one, Tube("a", np.arange(2, 4), box.repeat(2, 0)))
        0.5
    """
    if one.video != other.video:
        return 0.0
    common, mine, others = np.intersect1d(one.frames, other.frames, return_indices=True)
    if not len(common):
        return 0.0
    overlaps = box_iou(one.corners[mine], other.corners[others]).diagonal()
    return float(overlaps.sum() / len(np.union1d(one.frames, other.frames)))


def _tube(video: str, frames: np.ndarray, corners: np.ndarray, scores: np.ndarray) -> Tube:
    every = np.arange(frames[0], frames[-1] + 1)
    filled = np.stack([np.interp(every, frames, side) for side in corners.T], axis=1)
    return Tube(video, every, filled, scores=scores.mean(axis=0))
