"""Average precision and frame-mAP: hand-worked cases and a slow truth."""

import math

import numpy as np
import pytest

from bod_keras.detection import (
    FrameBoxes,
    average_precision,
    box_iou,
    frame_average_precision,
    match_by_overlap,
    mean_average_precision,
)

UNIT = (0.0, 0.0, 4.0, 4.0)


def boxes(*rows):
    """Rows (frame, corners, label) or (frame, corners, label, score)."""
    frames, corners, labels, *scores = zip(*rows)
    return FrameBoxes(
        list(frames), np.array(corners, float), np.array(labels), *map(np.array, scores)
    )


def precision_at_recall_steps(scores, hits, positives):
    """The area, rectangle by rectangle from the left, each as high as the best precision from there on."""
    ranked = [hit for _, hit in sorted(zip(-np.asarray(scores), hits), key=lambda pair: pair[0])]
    points = [
        (sum(ranked[: k + 1]) / positives, sum(ranked[: k + 1]) / (k + 1))
        for k in range(len(ranked))
    ]
    area, before = 0.0, 0.0
    for k, (recall, _) in enumerate(points):
        area += (recall - before) * max(precision for _, precision in points[k:])
        before = recall
    return area


def test_average_precision_by_hand():
    # hit, miss, hit, hit of 4: recall 1/4 at precision 1; 2/4 and 3/4 at the envelope 3/4; the 4th is missed
    assert average_precision([0.9, 0.8, 0.7, 0.6], [1, 0, 1, 1], 4) == pytest.approx(0.625)
    assert average_precision([], [], 3) == 0.0
    assert math.isnan(average_precision([0.5], [False], 0))


@pytest.mark.parametrize("seed", range(5))
def test_average_precision_equals_the_slow_truth(seed):
    rng = np.random.default_rng(seed)
    scores, hits = rng.permutation(40) / 40, rng.random(40) < 0.4
    positives = int(hits.sum()) + 3
    slow = precision_at_recall_steps(scores, hits, positives)
    assert average_precision(scores, hits, positives) == pytest.approx(slow)


def test_average_precision_refuses_what_cannot_be():
    with pytest.raises(ValueError, match="1 to be found. Received: 2 hits"):
        average_precision([0.1, 0.2], [True, True], 1)
    with pytest.raises(ValueError, match="scores must be finite"):
        average_precision([np.nan], [True], 1)
    with pytest.raises(ValueError, match="one length"):
        average_precision([0.1], [True, False], 1)


def test_overlap_by_hand():
    overlaps = box_iou([UNIT], [(2, 2, 6, 6), (0, 0, 4, 2), (4, 0, 8, 4), (1, 1, 1, 1)])
    np.testing.assert_allclose(overlaps, [[4 / 28, 0.5, 0, 0]])
    assert box_iou([(1, 1, 1, 1)], [(1, 1, 1, 1)])[0, 0] == 0
    with pytest.raises(ValueError, match=r"array \(n, 4\)"):
        box_iou([0, 0, 1, 1], [UNIT])


def test_a_detection_is_not_passed_on_to_its_second_best_annotation():
    assert match_by_overlap(np.array([[0.9, 0.6], [0.8, 0.7]]), 0.5).tolist() == [True, False]
    assert match_by_overlap(np.array([[0.9, 0.6], [0.6, 0.8]]), 0.5).tolist() == [True, True]
    assert match_by_overlap(np.zeros((2, 0)), 0.5).tolist() == [False, False]


def test_a_threshold_is_met_by_equality():
    truth = boxes(("a", UNIT, 0))
    found = boxes(("a", (0, 0, 4, 2), 0, 0.5))
    assert frame_average_precision(truth, found, [0]) == {0: 1.0}
    assert frame_average_precision(truth, found, [0], threshold=0.51) == {0: 0.0}


def test_several_labels_of_one_person():
    truth = boxes(("a", UNIT, 0), ("a", UNIT, 1), ("b", UNIT, 0))
    found = boxes(
        ("a", UNIT, 0, 0.9), ("a", UNIT, 1, 0.3), ("b", UNIT, 0, 0.5), ("b", UNIT, 1, 0.8)
    )
    # Class 1: the false one in b is ranked before the true one in a.
    assert frame_average_precision(truth, found, [0, 1]) == {0: 1.0, 1: 0.5}


def test_duplicates_and_frames_without_annotations_are_false():
    truth = boxes(("a", UNIT, 0), ("c", UNIT, 0))
    found = boxes(
        ("a", UNIT, 0, 0.9), ("a", UNIT, 0, 0.8), ("b", UNIT, 0, 0.7), ("c", UNIT, 0, 0.6)
    )
    # hit, false, false, hit of 2: 1/2 at 1, 1/2 at 2/4
    assert frame_average_precision(truth, found, [0])[0] == pytest.approx(0.75)


def test_excluded_frames_and_classes_count_on_neither_side():
    truth = boxes(("a", UNIT, 0), ("b", UNIT, 0), ("a", UNIT, 7))
    found = boxes(("a", UNIT, 0, 0.2), ("b", (8, 8, 9, 9), 0, 0.9), ("a", UNIT, 7, 0.9))
    assert frame_average_precision(truth, found, [0])[0] == pytest.approx(0.25)
    assert frame_average_precision(truth, found, [0], excluded=["b"]) == {0: 1.0}


def test_classes_without_annotations_do_not_count_and_those_without_detections_do():
    per_class = frame_average_precision(
        boxes(("a", UNIT, 0), ("a", UNIT, 2)), boxes(("a", UNIT, 0, 1.0)), range(3)
    )
    assert per_class[0] == 1.0 and math.isnan(per_class[1]) and per_class[2] == 0.0
    assert mean_average_precision(per_class) == 0.5
    assert math.isnan(mean_average_precision({0: float("nan")}))


def test_only_so_many_detections_of_a_frame_count():
    truth = boxes(("a", UNIT, 0), ("a", UNIT, 1))
    found = boxes(("a", UNIT, 0, 0.9), ("a", UNIT, 1, 0.1), ("a", UNIT, 9, 0.99))
    assert frame_average_precision(truth, found, [0, 1], limit=1) == {0: 1.0, 1: 0.0}


def test_boxes_without_area_are_left_out():
    found = boxes(("a", (2, 0, 2, 4), 0, 0.9), ("a", UNIT, 0, 0.8))
    assert frame_average_precision(boxes(("a", UNIT, 0)), found, [0]) == {0: 1.0}


def test_rows_and_boxes_may_be_any_sequences():
    truth = boxes(("a", UNIT, 0), ("b", UNIT, 1), ("c", (0, 0, 1, 1), 2))
    for rows in ([2, 0], (2, 0), np.array([2, 0]), range(2, -1, -2)):
        taken = truth.take(rows)
        assert taken.frames == ["c", "a"] and taken.labels.tolist() == [2, 0]
        assert taken.corners[:, 2].tolist() == [1, 4]
    assert truth.take([]).corners.shape == (0, 4)
    lists = FrameBoxes(("a", "a"), [UNIT, (0, 0, 4, 2)], [0, 0], [0.5, 0.9])
    annotated = FrameBoxes(("a",), [UNIT], [0])
    assert frame_average_precision(annotated, lists, [0], threshold=0.6) == {0: 0.5}


def test_no_detection_at_all():
    nothing = FrameBoxes([], np.zeros((0, 4)), np.zeros(0, int), np.zeros(0))
    assert frame_average_precision(boxes(("a", UNIT, 0)), nothing, [0]) == {0: 0.0}


def test_bad_input():
    truth = boxes(("a", UNIT, 0))
    with pytest.raises(ValueError, match="needs a score"):
        frame_average_precision(truth, truth, [0])
    with pytest.raises(ValueError, match="at least one class"):
        frame_average_precision(truth, boxes(("a", UNIT, 0, 0.1)), [])
    with pytest.raises(ValueError, match="one entry a box. Received: 2 frames, 1 corners"):
        frame_average_precision(truth._replace(frames=["a", "b"]), boxes(("a", UNIT, 0, 0.1)), [0])
    with pytest.raises(ValueError, match="scores must be finite"):
        frame_average_precision(truth, boxes(("a", UNIT, 0, np.nan)), [0])
