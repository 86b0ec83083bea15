"""`RoIAlign`: what a feature map holds inside of boxes, without rounding them to its cells."""

from __future__ import annotations

import keras
from keras import ops

from bod_keras.errors import UserError


@keras.saving.register_keras_serializable("bod_keras")
class RoIAlign(keras.layers.Layer):
    """Cut boxes out of feature maps and sample each to the same size, bilinearly ("aligned").

    A box is divided into `size` x `size` bins, and a bin is the mean of `samples` x `samples` points spread
    evenly in it. The center of cell (i, j) is at (i + 1/2, j + 1/2), and a point takes the bilinear mean of
    the four nearest centers. With p the points, bins and cells are separable:

        y[n, i, j] = sum over a, b of V[n, i, a] H[n, j, b] x[a, b],
        V[n, i, a] = mean over points p of bin i of max(0, 1 - |clip(p - 1/2, 0, h - 1) - a|),

    and H likewise along the width. Points more than one cell outside of the map count as zero. Boxes may
    be of any size, also empty or turned around.

    Args:
        size: bins along height and width.
        samples: points of a bin along height and width.
        **kwargs: of `keras.layers.Layer`.

    Call arguments:
        maps: `(B, h, w, C)`.
        boxes: `(B, N, 4)`, left, top, right, bottom as shares of the map's width and height.

    Returns:
        `(B, N, size, size, C)` in the compute dtype.

    Raises:
        ValueError: if `size` or `samples` is below 1, or an input has another rank.

    Example:
        >>> import numpy as np
        >>> from bod_keras.detection import RoIAlign
        >>> maps = np.arange(16.0, dtype="float32").reshape(1, 4, 4, 1)
        >>> whole = RoIAlign(size=1)(maps, np.array([[[0.0, 0.0, 1.0, 1.0]]], "float32"))
        >>> float(whole[0, 0, 0, 0, 0])
        7.5

    Reference:
        He et al., "Mask R-CNN", ICCV 2017, section 3; aligned as in Detectron2.
    """

    def __init__(self, size: int = 7, samples: int = 2, **kwargs):
        super().__init__(**kwargs)
        for name, value in (("size", size), ("samples", samples)):
            if isinstance(value, bool) or not isinstance(value, int) or value < 1:
                raise UserError(f"{name} must be a positive integer. Received: {name}={value!r}")
        self.size, self.samples = size, samples
        self.autocast = False  # half precision would move the boxes

    def build(self, maps_shape, boxes_shape):
        if len(maps_shape) != 4 or len(boxes_shape) != 3 or boxes_shape[-1] != 4:
            raise UserError(
                "RoIAlign needs maps (B, h, w, C) and boxes (B, N, 4). "
                f"Received: {maps_shape} and {boxes_shape}"
            )

    def call(self, maps, boxes):
        boxes = ops.cast(boxes, "float32")
        height, width = ops.shape(maps)[1], ops.shape(maps)[2]
        vertical = self._weights(boxes[..., 1], boxes[..., 3], height)
        horizontal = self._weights(boxes[..., 0], boxes[..., 2], width)
        maps, vertical, horizontal = (
            ops.cast(x, self.compute_dtype) for x in (maps, vertical, horizontal)
        )
        rows = ops.einsum("bnia,bawc->bniwc", vertical, maps)
        return ops.einsum("bnjw,bniwc->bnijc", horizontal, rows)

    def _weights(self, first, last, cells):
        """What each of `cells` along one side gives to each bin: (B, N) and (B, N) -> (B, N, size, cells)."""
        places = self.size * self.samples
        steps = (ops.arange(places, dtype="float32") + 0.5) / places
        length = ops.cast(cells, "float32")
        shares = first[..., None] + (last - first)[..., None] * steps
        points = (shares * length - 0.5)[..., None]
        inside = ops.logical_and(points >= -1.0, points <= length)
        nearest = ops.minimum(ops.maximum(points, 0.0), length - 1.0)
        weights = ops.maximum(1.0 - ops.abs(nearest - ops.arange(cells, dtype="float32")), 0.0)
        weights = ops.where(inside, weights, 0.0)
        shape = (-1, ops.shape(first)[1], self.size, self.samples, cells)
        return ops.mean(ops.reshape(weights, shape), axis=3)

    def compute_output_shape(self, maps_shape, boxes_shape):
        return (maps_shape[0], boxes_shape[1], self.size, self.size, maps_shape[-1])

    def get_config(self):
        return {**super().get_config(), "size": self.size, "samples": self.samples}
