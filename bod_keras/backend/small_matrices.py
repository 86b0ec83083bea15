"""Inverse and solution of many small linear systems, without a word from the device to the host.

PyTorch's own check for a singular matrix, as `keras.ops` calls it, waits for the device in every step.
"""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

BACKEND = keras.backend.backend()
if BACKEND == "torch":
    import torch


def inverse(a: Any) -> Any:
    """Inverse of (..., n, n) matrices. Of a singular one TensorFlow raises, the others return inf or NaN."""
    return torch.linalg.inv_ex(a).inverse if BACKEND == "torch" else ops.inv(a)


def solve(a: Any, b: Any) -> Any:
    """``a^-1 b`` of (..., n, n) and (..., n, m) matrices; of a singular `a` as `inverse`."""
    return torch.linalg.solve_ex(a, b).result if BACKEND == "torch" else ops.solve(a, b)
