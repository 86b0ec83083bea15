"""What is reported is what AVA's server finds in the file: small scores, ties, empty boxes."""

import csv

import numpy as np
import pytest

from bod_keras.detection import FrameBoxes, frame_average_precision
from bod_keras.detection.detections import write_detections
from bod_keras.detection.frame_map import best_of_each_frame
from tests.detection.ava_script import precision_of_each_class

CLASSES = 4


def draw(kind, seed):
    """Annotations of 30 seconds, and 12 boxes in each, scored for every class."""
    rng = np.random.default_rng(seed)

    def boxes(count):
        first, size = rng.uniform(0, 0.5, (count, 2)), rng.uniform(0.2, 0.5, (count, 2))
        return np.concatenate([first, first + size], axis=1)

    truth, found = [], []
    for second in range(30):
        annotated = boxes(3)
        frame = ("film.mp4", second)
        truth += [(frame, box, rng.integers(CLASSES)) for box in annotated]
        near = annotated[rng.integers(3, size=12)] + rng.normal(0, 0.05, (12, 4))
        if kind == "empty":
            near[::3, 2] = near[::3, 0] - 0.01 * rng.integers(2, size=4)
        if kind == "duplicates":
            near[1::2] = near[::2]
        for box in near:
            for label, score in enumerate(rng.random(CLASSES)):
                if kind == "small":
                    score *= 1e-7
                if kind in ("ties", "duplicates"):
                    score = np.round(score, 1)
                found.append((frame, box, label, score))
    order = rng.permutation(len(found))
    return [
        FrameBoxes(frames, np.array(corners), np.array(labels), *map(np.array, scores))
        for frames, corners, labels, *scores in (zip(*truth), zip(*(found[i] for i in order)))
    ]


@pytest.mark.parametrize("limit", [5, 50, None])
@pytest.mark.parametrize("kind", ["plain", "small", "ties", "duplicates", "empty"])
def test_the_file_gives_the_number_that_is_reported(kind, limit, tmp_path):
    for seed in range(3):
        truth, found = draw(kind, seed)
        evaluated = [0, 1, 3]
        reported = frame_average_precision(truth, found, evaluated, limit=limit)
        with open(tmp_path / "truth.csv", "w", newline="") as file:
            for (_, second), corners, label in zip(truth.frames, truth.corners, truth.labels):
                csv.writer(file).writerow(["film", f"{second + 900:04d}", *corners, label + 1])
        # As it is, and only what counts.
        for name, rows in (("all", found), ("best", best_of_each_frame(found, evaluated, limit))):
            file = tmp_path / f"{name}.csv"
            write_detections(rows, file, start=900)
            numbers = [label + 1 for label in evaluated]
            server = precision_of_each_class(tmp_path / "truth.csv", file, numbers, limit or 0)
            assert reported == {n - 1: pytest.approx(ap, abs=1e-12) for n, ap in server.items()}


def test_a_box_without_area_takes_a_place_among_the_best():
    truth = FrameBoxes(["a"], np.array([[0.0, 0.0, 1.0, 1.0]]), np.array([0]))
    corners = np.array([[0.5, 0.5, 0.5, 0.9], [0.0, 0.0, 1.0, 1.0]])
    found = FrameBoxes(["a", "a"], corners, np.array([0, 0]), np.array([0.9, 0.8]))
    assert frame_average_precision(truth, found, [0], limit=1) == {0: 0.0}
    assert frame_average_precision(truth, found, [0], limit=2) == {0: 1.0}


def test_of_equal_scores_the_last_comes_first():
    truth = FrameBoxes(["a", "b"], np.array([[0, 0, 1, 1]] * 2), np.array([0, 0]))
    found = FrameBoxes(
        ["a", "b"], np.array([[0, 0, 1, 1], [2, 2, 3, 3]]), np.array([0, 0]), np.array([0.5, 0.5])
    )
    assert frame_average_precision(truth, found, [0]) == {0: 0.25}
    assert frame_average_precision(truth, found.take([1, 0]), [0]) == {0: 0.5}
