"""RoIAlign against a slow NumPy truth, and as a Keras layer."""

import math

import numpy as np
import pytest

from bod_keras.detection import RoIAlign
from tests.layer_harness import check_layer
from tests.tiny_models import numpy


def slow_roi_align(maps, boxes, size, samples):
    """Point by point: the four nearest centers of cells around each sampling point."""
    batch, height, width, channels = maps.shape
    out = np.zeros((batch, boxes.shape[1], size, size, channels))

    def value(image, y, x):
        if y < -1 or y > height or x < -1 or x > width:
            return np.zeros(channels)
        y, x = min(max(y, 0), height - 1), min(max(x, 0), width - 1)
        top, left = min(math.floor(y), height - 2), min(math.floor(x), width - 2)
        v, h = y - top, x - left
        upper = (1 - h) * image[top, left] + h * image[top, left + 1]
        lower = (1 - h) * image[top + 1, left] + h * image[top + 1, left + 1]
        return (1 - v) * upper + v * lower

    for b in range(batch):
        for n, (x1, y1, x2, y2) in enumerate(boxes[b] * [width, height, width, height]):
            for i in range(size):
                for j in range(size):
                    points = [
                        value(
                            maps[b],
                            y1 + (i + (a + 0.5) / samples) * (y2 - y1) / size - 0.5,
                            x1 + (j + (c + 0.5) / samples) * (x2 - x1) / size - 0.5,
                        )
                        for a in range(samples)
                        for c in range(samples)
                    ]
                    out[b, n, i, j] = np.mean(points, axis=0)
    return out


@pytest.mark.parametrize("size, samples", [(1, 1), (3, 2), (7, 3)])
def test_equals_the_slow_truth(size, samples):
    rng = np.random.default_rng(size)
    maps = rng.normal(size=(2, 5, 8, 3)).astype("float32")
    corners = rng.uniform(-0.4, 1.4, (2, 6, 4))  # also outside of the map
    first, second = np.split(corners, 2, -1)
    boxes = np.concatenate([np.minimum(first, second), np.maximum(first, second)], -1)
    boxes[0, 0] = boxes[0, 0, [2, 3, 0, 1]]  # turned around
    boxes[0, 1] = 0.3  # empty
    boxes = boxes.astype("float32")
    result = numpy(RoIAlign(size, samples)(maps, boxes))
    np.testing.assert_allclose(result, slow_roi_align(maps, boxes, size, samples), atol=2e-5)


def test_a_box_of_whole_cells_gives_those_cells():
    maps = np.arange(36, dtype="float32").reshape(1, 6, 6, 1)
    box = np.array([[[1 / 6, 2 / 6, 3 / 6, 4 / 6]]], "float32")  # columns 1, 2 and rows 2, 3
    result = numpy(RoIAlign(size=2, samples=1)(maps, box))[0, 0, :, :, 0]
    np.testing.assert_allclose(result, [[13, 14], [19, 20]], atol=1e-5)


def test_is_a_layer(tmp_path):
    arguments = {"size": 3, "samples": 2}
    check_layer(
        lambda: RoIAlign(**arguments), (4, 5, 2), (3, 4), tmp_path=tmp_path, arguments=arguments
    )


def test_bad_arguments():
    with pytest.raises(ValueError, match="samples must be a positive integer. Received: samples=0"):
        RoIAlign(samples=0)
    with pytest.raises(ValueError, match=r"needs maps \(B, h, w, C\) and boxes"):
        RoIAlign()(np.zeros((1, 2, 2, 1)), np.zeros((1, 4)))
