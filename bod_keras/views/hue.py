"""Turns of the hue, on any backend."""

import math
from typing import Any

from keras import ops


def hue_rotations(angles: Any) -> Any:
    """Rotations (..., 3, 3) of RGB colors by angles (...,), in radians, about the gray axis (1, 1, 1)."""
    cos, sin = ops.cos(angles)[..., None, None], ops.sin(angles)[..., None, None]
    cross = ops.array([[0, -1, 1], [1, 0, -1], [-1, 1, 0]], "float32") / math.sqrt(3)
    return cos * ops.eye(3) + (1 - cos) / 3 * ops.ones((3, 3)) + sin * cross
