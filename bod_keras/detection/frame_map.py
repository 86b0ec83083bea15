"""Frame-mAP: mean average precision of boxes in frames, with the semantics of AVA's official evaluation."""

from __future__ import annotations

import heapq
import math
from collections.abc import Hashable, Iterable, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from bod_keras.detection.average_precision import average_precision, match_by_overlap
from bod_keras.detection.box_iou import box_areas, box_iou
from bod_keras.errors import UserError


class FrameBoxes(NamedTuple):
    """Labeled boxes in frames, one a row; a person who does two things has two rows.

    Args:
        frames: `(n,)`, which frame a box is in: anything hashable, such as `("-5KQ66BBWC4", 902)`.
        corners: float `(n, 4)`, left, top, right, bottom.
        labels: int `(n,)`, class numbers.
        scores: float `(n,)` of detections; None for annotations.

    Example:
        >>> import numpy as np
        >>> from bod_keras.detection import FrameBoxes
        >>> FrameBoxes(["a"], np.array([[0, 0, 1, 1]]), np.array([3])).labels.tolist()
        [3]
    """

    frames: Sequence[Hashable]
    corners: np.ndarray
    labels: np.ndarray
    scores: np.ndarray | None = None

    def take(self, rows: Sequence[int]) -> FrameBoxes:
        """Return some of the rows, in the order asked for."""
        rows = np.asarray(rows, int)
        return FrameBoxes(
            [self.frames[row] for row in rows],
            self.corners[rows],
            self.labels[rows],
            None if self.scores is None else self.scores[rows],
        )


def frame_average_precision(
    truth: FrameBoxes,
    detections: FrameBoxes,
    classes: Iterable[int],
    *,
    threshold: float = 0.5,
    excluded: Iterable[Hashable] = (),
    limit: int | None = None,
) -> dict[int, float]:
    """Return the average precision of each class; the mean of those that are not nan is the frame-mAP.

    A detection counts as in `match_by_overlap`, within its frame and class; the rows of all frames are then
    ranked together (`average_precision`). Detections in a frame without annotations are false. Detections
    without area are left out after `limit`, as in AVA's script, and equal scores are ranked in its order.

    Args:
        truth: the annotations.
        detections: boxes with scores.
        classes: the classes to evaluate; others are left out on both sides.
        threshold: least intersection over union of a true positive.
        excluded: frames that are left out on both sides.
        limit: keep the detections of highest score of each frame, this many over all evaluated classes;
            None keeps all. AVA's official script keeps 50.

    Returns:
        Class number to average precision; nan for a class without an annotation.

    Raises:
        UserError: the parts of `truth` or `detections` have different lengths, detections have no scores, a
            score is not finite, or no class is given.

    Example:
        >>> import numpy as np
        >>> from bod_keras.detection import FrameBoxes, frame_average_precision
        >>> truth = FrameBoxes(["a", "b"], np.array([[0, 0, 4, 4], [0, 0, 4, 4]]), np.array([1, 1]))
        >>> found = FrameBoxes(["a"], np.array([[0, 0, 4, 3]]), np.array([1]), np.array([0.9]))
        >>> frame_average_precision(truth, found, [1])
        {1: 0.5}

    Reference:
        Gu et al., "AVA: A Video Dataset of Spatio-temporally Localized Atomic Visual Actions", CVPR 2018;
        get_ava_performance.py of its evaluation server.
    """
    classes, excluded = list(classes), set(excluded)
    if not classes:
        raise UserError("classes must name at least one class. Received: none")
    truth = _evaluated(truth, classes, excluded)
    detections = best_of_each_frame(detections, classes, limit, excluded)
    # The script sorts the heap of a frame twice, and the second time turns equal scores around.
    order = [
        row
        for rows in _by_frame(detections).values()
        for row in sorted(rows[::-1], key=lambda row: -detections.scores[row])
    ]
    has_area = box_areas(detections.corners) > 0
    detections = detections.take([row for row in order if has_area[row]])
    annotated = _by_frame(truth)
    hits = np.zeros(len(detections.labels), bool)
    for frame, found in _by_frame(detections).items():
        there = annotated.get(frame, [])
        overlaps = box_iou(detections.corners[found], truth.corners[there])
        labels, true = detections.labels[found], truth.labels[there]
        for label in np.unique(labels):
            mine = labels == label
            hits[found[mine]] = match_by_overlap(overlaps[mine][:, true == label], threshold)
    results = {}
    for label in classes:
        # It then sorts all frames in rising order and turns that around: of equal scores the last is first.
        mine = np.flatnonzero(detections.labels == label)[::-1]
        positives = int((truth.labels == label).sum())
        results[label] = average_precision(detections.scores[mine], hits[mine], positives)
    return results


def best_of_each_frame(
    detections: FrameBoxes,
    classes: Iterable[int],
    limit: int | None = None,
    excluded: Iterable[Hashable] = (),
) -> FrameBoxes:
    """Return the detections that AVA's script looks at, frame by frame, as it holds them.

    It keeps those of a frame in a heap, whose order decides between equal scores. The result has that order, so
    that a script that reads it makes the same heap. Arguments as of `frame_average_precision`.
    """
    if detections.scores is None:
        raise UserError("Every detection needs a score. Received: scores=None")
    detections = _evaluated(detections, classes, excluded)
    left, top, right, bottom = detections.corners.T.tolist()
    keys = list(
        zip(detections.scores.tolist(), detections.labels.tolist(), top, left, bottom, right)
    )
    order = []
    for rows in _by_frame(detections).values():
        heap: list[tuple] = []
        for row in rows.tolist():
            if len(heap) < (limit or math.inf):
                heapq.heappush(heap, (*keys[row], row))
            elif keys[row][0] > heap[0][0]:
                heapq.heapreplace(heap, (*keys[row], row))
        order += [entry[-1] for entry in heap]
    return detections.take(order)


def mean_average_precision(per_class: Mapping[int, float]) -> float:
    """Return the mean of the classes that can be measured.

    Args:
        per_class: class number to average precision, nan for a class without an annotation.

    Returns:
        The mean; nan if no class can be measured.

    Example:
        >>> from bod_keras.detection import mean_average_precision
        >>> mean_average_precision({0: 1.0, 1: float("nan"), 2: 0.5})
        0.75
    """
    values = [value for value in per_class.values() if not math.isnan(value)]
    return float(np.mean(values)) if values else float("nan")


def _evaluated(boxes: FrameBoxes, classes: Iterable[int], excluded: Iterable) -> FrameBoxes:
    """The rows that count, as arrays, after checks."""
    boxes = FrameBoxes(
        list(boxes.frames),
        np.asarray(boxes.corners, np.float64).reshape(-1, 4),
        np.asarray(boxes.labels, int),
        None if boxes.scores is None else np.asarray(boxes.scores, np.float64),
    )
    lengths = [len(part) for part in boxes if part is not None]
    if len(set(lengths)) != 1:
        raise UserError(
            "frames, corners, labels and scores must have one entry a box. Received: "
            f"{len(boxes.frames)} frames, {len(boxes.corners)} corners, {len(boxes.labels)} labels"
        )
    if boxes.scores is not None and not np.isfinite(boxes.scores).all():
        raise UserError("scores must be finite. Received: nan or infinity; did training diverge?")
    classes, excluded = set(classes), set(excluded)
    return boxes.take(
        [
            row
            for row, (frame, label) in enumerate(zip(boxes.frames, boxes.labels.tolist()))
            if label in classes and frame not in excluded
        ]
    )


def _by_frame(boxes: FrameBoxes) -> dict[Hashable, np.ndarray]:
    """From a frame to its row numbers, in their order."""
    found: dict[Hashable, list[int]] = {}
    for row, frame in enumerate(boxes.frames):
        found.setdefault(frame, []).append(row)
    return {frame: np.array(rows) for frame, rows in found.items()}
