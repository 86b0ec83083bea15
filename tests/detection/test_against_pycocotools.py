"""Matching and average precision against pycocotools, where it is installed.

COCO differs in two ways: it takes precision at 101 recalls in place of the area (at most 0.01 apart where all
is equal otherwise), and a detection whose best annotation is taken may match the next best one. So that only
the first is left, annotations are far from each other.
"""

import contextlib
import io

import numpy as np
import pytest

pytest.importorskip("pycocotools")
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from bod_keras.detection import FrameBoxes, frame_average_precision


def coco_precision(truth, found, classes):
    """The average of 101 precisions of each class."""

    def entry(number, frame, box, label, **more):
        x1, y1, x2, y2 = map(float, box)
        size = [x2 - x1, y2 - y1]
        return {
            "id": number + 1,
            "image_id": int(frame),
            "category_id": int(label),
            "bbox": [x1, y1, *size],
            "area": size[0] * size[1],
            "iscrowd": 0,
            **more,
        }

    with contextlib.redirect_stdout(io.StringIO()):
        coco = COCO()
        coco.dataset = {
            "images": [{"id": int(n)} for n in sorted({*truth.frames, *found.frames})],
            "categories": [{"id": int(n)} for n in classes],
            "annotations": [
                entry(n, *row)
                for n, row in enumerate(zip(truth.frames, truth.corners, truth.labels))
            ],
        }
        coco.createIndex()
        rows = zip(found.frames, found.corners, found.labels, found.scores)
        detections = [
            entry(n, frame, box, label, score=float(score))
            for n, (frame, box, label, score) in enumerate(rows)
        ]
        evaluation = COCOeval(coco, coco.loadRes(detections), "bbox")
        evaluation.params.iouThrs = np.array([0.5])
        evaluation.evaluate()
        evaluation.accumulate()
    return evaluation.eval["precision"][0, :, :, 0, -1].mean(axis=0)


@pytest.mark.parametrize("seed", range(3))
def test_average_precision_is_that_of_coco_but_for_the_101_points(seed):
    rng = np.random.default_rng(seed)
    frames, classes = 60, 3
    truth, found = [], []
    for frame in range(frames):
        for place in range(3):
            box = np.array([0, 0, 30, 40]) + 100 * place + rng.uniform(0, 9, 4)
            label = rng.integers(classes)
            truth.append((frame, box, label))
            for _ in range(rng.integers(3)):
                kind = label if rng.random() < 0.7 else rng.integers(classes)
                found.append((frame, box + rng.normal(0, 5, 4), kind, rng.random()))
    table = [FrameBoxes(*(np.array(column) for column in zip(*rows))) for rows in (truth, found)]
    ours = frame_average_precision(*table, range(classes))
    theirs = coco_precision(*table, range(classes))
    assert 0.2 < min(ours.values()) and max(ours.values()) < 0.9
    np.testing.assert_allclose([ours[label] for label in range(classes)], theirs, atol=0.01)
