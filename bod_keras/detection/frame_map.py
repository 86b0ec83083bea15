"""Frame-mAP: mean average precision of boxes in frames, with the semantics of AVA's official evaluation."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np

from bod_keras.detection.average_precision import average_precision, match_by_overlap
from bod_keras.detection.box_iou import box_iou
from bod_keras.errors import UserError


class FrameBoxes(NamedTuple):
    """Labelled boxes in frames, one a row; a person who does two things has two rows.

    Args:
        frames: `(n,)`, which frame a box is in: anything hashable, such as `("-5KQ66BBWC4", 902)`.
        corners: float `(n, 4)`, left, top, right, bottom.
        labels: int `(n,)`, class numbers.
        scores: float `(n,)` of detections; None of annotations.

    Example:

    >>> import numpy as np
    >>> from bod_keras.detection import FrameBoxes
    >>> FrameBoxes(["a"], np.array([[0, 0, 1, 1]]), np.array([3])).labels.tolist()
    [3]
    """

    frames: Sequence
    corners: np.ndarray
    labels: np.ndarray
    scores: np.ndarray | None = None


def frame_average_precision(
    truth: FrameBoxes,
    detections: FrameBoxes,
    classes: Iterable[int],
    *,
    threshold: float = 0.5,
    excluded: Iterable = (),
    limit: int | None = None,
) -> dict[int, float]:
    """Give the average precision of each class; the mean of those that are not nan is the frame-mAP.

    A detection counts as in `match_by_overlap`, within its frame and class; the rows of all frames
    are then ranked together (`average_precision`). Detections in a frame without annotations are
    false. A detection without area is left out.

    Args:
        truth: the annotations.
        detections: with scores.
        classes: the classes that are evaluated; others are left out on both sides.
        threshold: least intersection over union of a true positive.
        excluded: frames that are left out on both sides.
        limit: keep the detections of highest score of each frame, this many over all evaluated
            classes; None keeps all. AVA's official script keeps 50.

    Returns:
        Class number to average precision; nan for a class without an annotation.

    Raises:
        ValueError: if the parts of `truth` or `detections` have different lengths, detections have
            no scores, a score is not finite, or no class is given.

    Example:

    >>> import numpy as np
    >>> from bod_keras.detection import FrameBoxes, frame_average_precision
    >>> truth = FrameBoxes(["a", "b"], np.array([[0, 0, 4, 4], [0, 0, 4, 4]]), np.array([1, 1]))
    >>> found = FrameBoxes(["a"], np.array([[0, 0, 4, 3]]), np.array([1]), np.array([0.9]))
    >>> frame_average_precision(truth, found, [1])
    {1: 0.5}

    Source: Gu et al., "AVA: A Video Dataset of Spatio-temporally Localized Atomic Visual Actions",
    CVPR 2018; get_ava_performance.py of its evaluation server.
    """
    classes = list(classes)
    if not classes:
        raise UserError("classes must name at least one class. Received: none")
    if detections.scores is None:
        raise UserError("Every detection needs a score. Received: scores=None")
    excluded = set(excluded)
    truth = _kept(truth, set(classes), excluded)
    detections = _kept(detections, set(classes), excluded)
    sides = detections.corners[:, 2:] - detections.corners[:, :2]
    order = np.argsort(-detections.scores, kind="stable")
    rows = _by_frame(detections.frames, order[(sides > 0).all(axis=1)[order]])
    if limit is not None:
        rows = {frame: found[:limit] for frame, found in rows.items()}
    annotated = _by_frame(truth.frames, range(len(truth.labels)))
    hits = np.zeros(len(detections.labels), bool)
    for frame, found in rows.items():
        there = annotated.get(frame, np.zeros(0, int))
        overlaps = box_iou(detections.corners[found], truth.corners[there])
        labels, true = detections.labels[found], truth.labels[there]
        for label in np.unique(labels):
            mine = labels == label
            hits[found[mine]] = match_by_overlap(overlaps[mine][:, true == label], threshold)
    kept = np.sort(np.concatenate([*rows.values(), np.zeros(0, int)]))
    results = {}
    for label in classes:
        mine = kept[detections.labels[kept] == label]
        positives = int((truth.labels == label).sum())
        results[label] = average_precision(detections.scores[mine], hits[mine], positives)
    return results


def mean_average_precision(per_class: dict[int, float]) -> float:
    """Give the mean of the classes that can be measured.

    Args:
        per_class: class number to average precision, nan for a class without an annotation.

    Returns:
        The mean; nan if no class can be measured.

    Example:

    >>> from bod_keras.detection import mean_average_precision
    >>> mean_average_precision({0: 1.0, 1: float("nan"), 2: 0.5})
    0.75
    """
    values = [value for value in per_class.values() if not np.isnan(value)]
    return float(np.mean(values)) if values else float("nan")


def _kept(boxes: FrameBoxes, classes: set[int], excluded: set) -> FrameBoxes:
    frames = list(boxes.frames)
    corners = np.asarray(boxes.corners, np.float64).reshape(-1, 4)
    labels = np.asarray(boxes.labels, int)
    scores = None if boxes.scores is None else np.asarray(boxes.scores, np.float64)
    lengths = {len(frames), len(corners), len(labels)} | (
        {len(scores)} if scores is not None else set()
    )
    if len(lengths) != 1:
        raise UserError(
            "frames, corners, labels and scores must have one entry a box. Received: "
            f"{len(frames)} frames, {len(corners)} corners, {len(labels)} labels"
        )
    if scores is not None and not np.isfinite(scores).all():
        raise UserError("scores must be finite. Received: nan or infinity; did training diverge?")
    chosen = [
        row
        for row, (frame, label) in enumerate(zip(frames, labels.tolist()))
        if label in classes and frame not in excluded
    ]
    return FrameBoxes(
        [frames[row] for row in chosen],
        corners[chosen],
        labels[chosen],
        None if scores is None else scores[chosen],
    )


def _by_frame(frames: Sequence, rows: Iterable[int]) -> dict:
    """frame -> row numbers, in their order."""
    found: dict = {}
    for row in rows:
        found.setdefault(frames[row], []).append(row)
    return {frame: np.array(numbers) for frame, numbers in found.items()}
