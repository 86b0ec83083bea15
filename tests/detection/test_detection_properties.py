"""Boxes, tubes and their average precision equal loops over single ones, for cases of hypothesis."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as some

from bod_keras.detection import (
    FrameBoxes,
    Tube,
    average_precision,
    box_iou,
    frame_average_precision,
    link_tubes,
    match_by_overlap,
    tube_iou,
    video_average_precision,
)

QUICK = settings(max_examples=50, deadline=None, derandomize=True)
side = some.integers(0, 4)
corners = some.tuples(side, side, side, side)


def area(box):
    return max(box[2] - box[0], 0) * max(box[3] - box[1], 0)


def overlap(one, other):
    """By counting the unit squares in both."""
    left, top = max(one[0], other[0]), max(one[1], other[1])
    shared = area((left, top, min(one[2], other[2]), min(one[3], other[3])))
    union = area(one) + area(other) - shared
    return shared / union if union else 0.0


def slow_precision(hits, positives):
    """The area under the envelope, of hits in the order of their rank."""
    precisions = [sum(hits[: k + 1]) / (k + 1) for k in range(len(hits))]
    return sum(max(precisions[k:]) for k, hit in enumerate(hits) if hit) / positives


def slow_hits(overlaps, threshold):
    taken, hits = set(), []
    for row in overlaps:
        best = max(range(len(row)), key=lambda j: (row[j], -j), default=None)
        hit = best is not None and row[best] >= threshold and best not in taken
        hits.append(hit)
        taken |= {best} if hit else set()
    return hits


@QUICK
@given(some.lists(corners, max_size=5), some.lists(corners, max_size=5))
def test_any_overlap_is_counted(boxes, others):
    found = box_iou(np.reshape(boxes, (-1, 4)), np.reshape(others, (-1, 4)))
    assert found.shape == (len(boxes), len(others))
    for i, one in enumerate(boxes):
        for j, other in enumerate(others):
            assert np.isclose(found[i, j], overlap(one, other))


@QUICK
@given(
    some.lists(some.tuples(some.integers(0, 3), some.booleans()), max_size=9), some.integers(0, 3)
)
def test_any_ranking_has_the_area_of_the_rectangles(rows, missed):
    scores, hits = [s / 4 for s, _ in rows], [h for _, h in rows]
    positives = sum(hits) + missed
    ranked = [hits[i] for i in sorted(range(len(rows)), key=lambda i: -scores[i])]
    found = average_precision(scores, hits, positives)
    assert (
        np.isnan(found) if not positives else np.isclose(found, slow_precision(ranked, positives))
    )


@QUICK
@given(some.integers(0, 5), some.integers(0, 4), some.data())
def test_any_detection_takes_its_best_annotation_once(detections, annotations, data):
    level = some.sampled_from([0.0, 0.4, 0.5, 0.6, 1.0])
    size = dict(min_size=annotations, max_size=annotations)
    rows = data.draw(
        some.lists(some.lists(level, **size), min_size=detections, max_size=detections)
    )
    found = match_by_overlap(np.reshape(rows, (detections, annotations)), 0.5)
    assert found.tolist() == slow_hits(rows, 0.5)


solid = some.tuples(side, side, some.integers(1, 3), some.integers(1, 3)).map(
    lambda box: (box[0], box[1], box[0] + box[2], box[1] + box[3])
)
annotated = some.lists(some.tuples(some.sampled_from("ab"), solid, some.integers(0, 1)), max_size=6)


@QUICK
@given(annotated, annotated, some.randoms(use_true_random=False))
def test_any_frames_have_the_precision_of_the_loop(truth, found, random):
    scores = random.sample([k / 10 for k in range(10)], len(found))  # no two are equal
    result = frame_average_precision(boxes_of(truth), boxes_of(found, scores), [0, 1])
    for label in (0, 1):
        ranked = sorted(
            (i for i, (_, _, own) in enumerate(found) if own == label), key=lambda i: -scores[i]
        )
        hits = dict.fromkeys(ranked, False)
        for frame in "ab":
            mine = [i for i in ranked if found[i][0] == frame]
            there = [box for at, box, own in truth if (at, own) == (frame, label)]
            overlaps = [[overlap(found[i][1], box) for box in there] for i in mine]
            hits |= dict(zip(mine, slow_hits(overlaps, 0.5)))
        positives = sum(own == label for _, _, own in truth)
        if positives:
            assert np.isclose(result[label], slow_precision(list(hits.values()), positives))
        else:
            assert np.isnan(result[label])


def boxes_of(rows, scores=None):
    frames, places, labels = zip(*rows) if rows else ((), (), ())
    scores = None if scores is None else np.array(scores, float)
    return FrameBoxes(
        frames, np.reshape(places, (-1, 4)).astype(float), np.array(labels, int), scores
    )


tubes = some.builds(
    lambda video, first, boxes: Tube(
        video, np.arange(first, first + len(boxes)), np.array(boxes, float)
    ),
    some.sampled_from("ab"),
    some.integers(0, 3),
    some.lists(solid, min_size=1, max_size=4),
)


def slow_tube_iou(one, other):
    mine, others = (dict(zip(t.frames.tolist(), t.corners)) for t in (one, other))
    both = mine.keys() & others.keys() if one.video == other.video else ()
    return sum(overlap(mine[f], others[f]) for f in both) / len(mine.keys() | others.keys())


@QUICK
@given(
    some.lists(tubes, max_size=4),
    some.lists(tubes, max_size=4),
    some.randoms(use_true_random=False),
)
def test_any_tubes_have_the_precision_of_the_loop(truth, found, random):
    truth = [tube._replace(label=i % 2) for i, tube in enumerate(truth)]
    found = [
        tube._replace(scores=np.array(random.sample([k / 20 for k in range(20)], 2)))
        for tube in found
    ]
    for one in found:
        for other in truth:
            assert np.isclose(tube_iou(one, other), slow_tube_iou(one, other))
    result = video_average_precision(truth, found, [0, 1], thresholds=(0.3, 0.5))
    for threshold in (0.3, 0.5):
        for label in (0, 1):
            mine = [one for one in truth if one.label == label]
            ranked = sorted(range(len(found)), key=lambda i: -found[i].scores[label])
            overlaps = [[tube_iou(found[i], one) for one in mine] for i in ranked]
            # Of another video the overlap is 0, so one list of all videos is enough.
            precision = slow_precision(slow_hits(overlaps, threshold), len(mine)) if mine else None
            own = result[threshold][label]
            assert np.isnan(own) if precision is None else np.isclose(own, precision)


@QUICK
@given(some.lists(some.tuples(some.integers(0, 6), solid), max_size=8), some.integers(0, 3))
def test_any_box_is_linked_to_one_tube(rows, gap):
    rows = sorted(rows)
    frames, boxes = [f for f, _ in rows], [box for _, box in rows]
    scores = np.eye(max(len(rows), 1))[: len(rows)]
    tubes = link_tubes("v", frames, np.reshape(boxes, (-1, 4)), scores, gap=gap)
    # The scores say which boxes a tube has: each of its n boxes has the share 1 / n.
    members = [np.flatnonzero(tube.scores).tolist() for tube in tubes]
    assert sorted(sum(members, [])) == list(range(len(rows)))
    for tube, boxes_in in zip(tubes, members):
        own = [frames[i] for i in boxes_in]
        assert len(set(own)) == len(own) and all(np.diff(own) <= gap + 1)
        assert tube.frames.tolist() == list(range(own[0], own[-1] + 1))
        for i in boxes_in:
            np.testing.assert_allclose(tube.corners[frames[i] - own[0]], boxes[i])
        for one, other in zip(boxes_in, boxes_in[1:]):
            assert overlap(boxes[one], boxes[other]) >= 0.3
