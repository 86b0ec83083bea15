"""Overlap of boxes: intersection over union."""

from __future__ import annotations

import numpy as np

from bod_keras.errors import UserError


def box_iou(boxes: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Return the intersection over union of each box with each other one.

    Args:
        boxes: float `(n, 4)`, left, top, right, bottom in any unit.
        others: float `(m, 4)`.

    Returns:
        float64 `(n, m)`; 0 where both boxes are empty.

    Raises:
        ValueError: if a shape is another one.

    Example:
        >>> import numpy as np
        >>> from bod_keras.detection import box_iou
        >>> box_iou(np.array([[0, 0, 2, 2]]), np.array([[1, 0, 3, 2], [0, 0, 2, 2]])).tolist()
        [[0.3333333333333333, 1.0]]
    """
    boxes, others = np.asarray(boxes, np.float64), np.asarray(others, np.float64)
    for array in (boxes, others):
        if array.ndim != 2 or array.shape[1] != 4:
            raise UserError(f"Boxes must be an array (n, 4). Received: shape {array.shape}")
    first = np.maximum(boxes[:, None, :2], others[None, :, :2])
    last = np.minimum(boxes[:, None, 2:], others[None, :, 2:])
    shared = np.clip(last - first, 0, None).prod(axis=-1)
    union = box_areas(boxes)[:, None] + box_areas(others)[None] - shared
    return np.divide(shared, union, out=np.zeros_like(shared), where=union > 0)


def box_areas(boxes: np.ndarray) -> np.ndarray:
    """Return the area of each box (n, 4); 0 of one that is turned around.

    Example:
        >>> import numpy as np
        >>> from bod_keras.detection import box_areas
        >>> box_areas(np.array([[0, 0, 2, 3]])).tolist()
        [6]
    """
    return np.clip(boxes[:, 2:] - boxes[:, :2], 0, None).prod(axis=-1)
