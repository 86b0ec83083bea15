"""Video-mAP: mean average precision of tubes."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from bod_keras.detection.average_precision import average_precision, match_by_overlap
from bod_keras.detection.frame_map import mean_average_precision
from bod_keras.detection.tubes import Tube, tube_iou

# mAP@0.5:0.95, as COCO averages thresholds.
STRICT = tuple(np.arange(50, 100, 5) / 100)


def video_average_precision(
    truth: Sequence[Tube],
    detections: Sequence[Tube],
    classes: Iterable[int],
    thresholds: Sequence[float] = (0.2, 0.5),
) -> dict[float, dict[int, float]]:
    """Return the average precision of tubes for each threshold and class.

    Every detected tube is ranked in each class by its score for it. It counts as in
    `match_by_overlap`, with the overlap of `tube_iou`.

    Args:
        truth: annotated tubes.
        detections: detected ones, from `link_tubes`.
        classes: the classes that are evaluated, columns of the scores.
        thresholds: least overlaps.

    Returns:
        Threshold to class number to average precision; nan for a class without an annotated tube.

    Example:
        >>> import numpy as np
        >>> from bod_keras.detection import Tube, video_average_precision
        >>> box = np.array([[0.0, 0.0, 1.0, 1.0]]).repeat(4, 0)
        >>> truth = [Tube("a", np.arange(4), box, label=1)]
        >>> found = [Tube("a", np.arange(1, 4), box[1:], scores=np.array([0.1, 0.9]))]
        >>> video_average_precision(truth, found, [1], thresholds=(0.5, 0.8))
        {0.5: {1: 1.0}, 0.8: {1: 0.0}}

    Reference:
        Weinzaepfel et al., "Learning to Track for Spatio-temporal Action Localization", ICCV
        2015.
    """
    classes = list(classes)
    labels = np.array([tube.label for tube in truth], int)
    overlaps = np.array([[tube_iou(found, one) for one in truth] for found in detections])
    overlaps = overlaps.reshape(len(detections), len(truth))
    names, videos = np.unique([tube.video for tube in detections], return_inverse=True)
    results: dict[float, dict[int, float]] = {threshold: {} for threshold in thresholds}
    for label in classes:
        mine = np.flatnonzero(labels == label)
        scores = np.array([tube.scores[label] for tube in detections], float)
        ranked = np.argsort(-scores, kind="stable")
        # An annotated tube overlaps detections of its own video only.
        groups = [ranked[videos[ranked] == video] for video in range(len(names))]
        for threshold, precisions in results.items():
            hits = np.zeros(len(detections), bool)
            for found in groups:
                hits[found] = match_by_overlap(overlaps[np.ix_(found, mine)], threshold)
            precisions[label] = average_precision(scores, hits, len(mine))
    return results


def video_map(
    truth: Sequence[Tube], detections: Sequence[Tube], classes: Iterable[int]
) -> dict[str, float]:
    """Return the video-mAP at the usual thresholds; arguments as of `video_average_precision`.

    Returns:
        "video_map@0.2", "video_map@0.5", "video_map@0.75" and "video_map@0.5:0.95", the mean over ten
        thresholds.

    Example:
        >>> import numpy as np
        >>> from bod_keras.detection import Tube, video_map
        >>> tube = Tube("a", np.arange(4), np.array([[0.0, 0.0, 1.0, 1.0]]).repeat(4, 0), label=0)
        >>> video_map([tube], [tube._replace(scores=np.array([0.9]))], [0])["video_map@0.5:0.95"]
        1.0
    """
    precisions = video_average_precision(truth, detections, classes, (0.2, *STRICT))
    means = {at: mean_average_precision(per_class) for at, per_class in precisions.items()}
    return {
        **{f"video_map@{at}": means[at] for at in (0.2, 0.5, 0.75)},
        "video_map@0.5:0.95": float(np.mean([means[at] for at in STRICT])),
    }
