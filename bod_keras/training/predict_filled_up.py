"""A prediction whose last batch is as large as the others."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import keras
import numpy as np


def predict_filled_up(model: Any, inputs: np.ndarray | Mapping[str, np.ndarray], size: int) -> Any:
    """Predict a batch; a smaller one is filled up to `size` rows, or it would be compiled anew.

    Args:
        model: with `predict_on_batch`, from `inputs` to arrays with a row for each of theirs.
        inputs: an array (b, ...), or a dict of arrays.
        size: rows of a whole batch.

    Returns:
        What the model gives for the b rows.
    """
    rows = len(next(iter(inputs.values())) if isinstance(inputs, Mapping) else inputs)
    missing = max(0, size - rows)

    def fill(x):
        return np.concatenate([x, np.repeat(x[-1:], missing, axis=0)])

    def cut(x):
        return x[:rows] if len(x) == rows + missing else x

    outputs = model.predict_on_batch(keras.tree.map_structure(fill, inputs))
    return keras.tree.map_structure(cut, outputs)
