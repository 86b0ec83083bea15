"""A prediction whose last batch is as large as the others."""

from __future__ import annotations

from collections.abc import Mapping

import keras
import numpy as np


def predict_filled_up(model, inputs: np.ndarray | Mapping[str, np.ndarray], size: int):
    """Predict a batch; a smaller one is filled up to `size` rows, or it would be compiled anew.

    Args:
        model: with `predict_on_batch`, from `inputs` to arrays with a row for each of theirs.
        inputs: an array (b, ...), or a dict of arrays.
        size: rows of a whole batch.

    Returns:
        What the model gives for the b rows.

    Example:
        >>> import keras
        >>> import numpy as np
        >>> from bod_keras.training.predict_filled_up import predict_filled_up
        >>> model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3)])
        >>> predict_filled_up(model, np.zeros((2, 4), "float32"), size=8).shape
        (2, 3)
    """
    rows = len(next(iter(inputs.values())) if isinstance(inputs, Mapping) else inputs)
    missing = max(0, size - rows)

    def fill(x):
        return np.concatenate([x, np.repeat(x[-1:], missing, axis=0)])

    def cut(x):
        return x[:rows] if len(x) == rows + missing else x

    outputs = model.predict_on_batch(keras.tree.map_structure(fill, inputs))
    return keras.tree.map_structure(cut, outputs)
