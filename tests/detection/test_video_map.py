"""Tube linking and video-mAP by hand."""

import numpy as np
import pytest

from bod_keras.detection import Tube, link_tubes, tube_iou, video_average_precision, video_map

UNIT = np.array([0.0, 0.0, 1.0, 1.0])


def tube(video, first, last, label=None, scores=None, shift=0.0):
    frames = np.arange(first, last)
    corners = UNIT + [shift, 0, shift, 0]
    scores = None if scores is None else np.array(scores)
    return Tube(video, frames, np.tile(corners, (len(frames), 1)), label, scores)


def test_two_persons_who_pass_each_other_at_a_distance():
    frames = np.repeat(np.arange(6), 2)
    left = [UNIT + [0.1 * t, 0, 0.1 * t, 0] for t in range(6)]
    right = [UNIT + [0.5 - 0.1 * t, 2, 0.5 - 0.1 * t, 2] for t in range(6)]
    corners = np.array([box for pair in zip(left, right) for box in pair])
    scores = np.tile([[0.9, 0.1], [0.2, 0.8]], (6, 1))
    one, other = link_tubes("v", frames, corners, scores)
    np.testing.assert_allclose(one.corners, left)
    np.testing.assert_allclose(other.corners, right)
    np.testing.assert_allclose([one.scores, other.scores], [[0.9, 0.1], [0.2, 0.8]])


def test_the_greatest_overlap_is_linked_first():
    # Both boxes of frame 1 overlap the tube; the nearer one continues it although it comes second.
    corners = np.array([UNIT, UNIT + 0.3, UNIT + 0.05])
    first, second = link_tubes("v", [0, 1, 1], corners, np.zeros((3, 1)))
    assert first.frames.tolist() == [0, 1] and first.corners[1, 0] == 0.05
    assert second.frames.tolist() == [1]


def test_gaps_are_bridged_up_to_their_limit():
    frames, corners = np.array([0, 3]), np.array([UNIT, UNIT + 0.3])
    scores = np.array([[0.2], [0.6]])
    (whole,) = link_tubes("v", frames, corners, scores, gap=2)
    np.testing.assert_allclose(whole.corners[:, 0], [0, 0.1, 0.2, 0.3])
    assert whole.scores[0] == pytest.approx(0.4)
    assert [t.frames.tolist() for t in link_tubes("v", frames, corners, scores, gap=1)] == [
        [0],
        [3],
    ]


def test_nothing_to_link():
    assert link_tubes("v", np.zeros(0, int), np.zeros((0, 4)), np.zeros((0, 2))) == []
    with pytest.raises(ValueError, match="one entry a box. Received: 1, 0 and 1"):
        link_tubes("v", [0], np.zeros((0, 4)), np.zeros((1, 2)))


def test_overlap_of_tubes():
    # 4 of 6 frames are common; in these half of a box overlaps: 1/3. Together 2/9.
    one, other = tube("v", 0, 5), tube("v", 1, 6, shift=0.5)
    assert tube_iou(one, other) == pytest.approx(4 / 6 / 3)
    assert tube_iou(one, tube("w", 0, 5)) == 0 and tube_iou(one, tube("v", 5, 9)) == 0


def test_video_average_precision_by_hand():
    truth = [tube("v", 0, 10, 0), tube("w", 0, 10, 0), tube("w", 0, 10, 1)]
    found = [
        tube("v", 0, 10, scores=[0.9, 0.2]),
        tube("v", 0, 9, scores=[0.8, 0.1]),  # a second one of the same person
        tube("w", 0, 6, scores=[0.7, 0.6]),  # overlap 0.6
    ]
    result = video_average_precision(truth, found, [0, 1], thresholds=(0.5, 0.75))
    # Class 0: hit, false, hit of 2 at 0.5. Class 1: hit first; the tubes in v are behind it.
    assert result[0.5] == {0: pytest.approx(1 / 2 + 1 / 2 * 2 / 3), 1: 1.0}
    assert result[0.75] == {0: pytest.approx(1 / 2), 1: 0.0}
    assert list(video_average_precision(truth, found, [0])) == [0.2, 0.5]


def test_video_map_over_thresholds():
    # Overlap 0.6: found at 0.2, 0.5, 0.55 and 0.6, and not beyond.
    results = video_map([tube("w", 0, 10, 0)], [tube("w", 0, 6, scores=[0.7])], [0])
    assert results == {
        "video_map@0.2": 1.0,
        "video_map@0.5": 1.0,
        "video_map@0.75": 0.0,
        "video_map@0.5:0.95": pytest.approx(0.3),
    }


def test_no_tube_was_found():
    assert video_map([tube("w", 0, 10, 0)], [], [0])["video_map@0.2"] == 0.0
