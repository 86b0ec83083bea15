"""Eigenvalues of the Koopman operators of clips."""

import numpy as np
from keras import ops

from bod_keras.errors import UserError
from bod_keras.koopman import linalg


def operator_eigenvalues(model, dataset, clips=256):
    """Returns the eigenvalues of the operators of a data set's first clips.

    Those of the ridge's null space, |lambda| < 1e-3, are left out: they say nothing about the clip.

    Args:
        model: a framework model (`bod_keras.VSimCLR`, ...), plain or decoupled.
        dataset: iterable of dicts whose "views" is (b, V, T, H, W, 3), such as
            `ClipDataset.evaluation()`.
        clips: how many clips to use.

    Returns:
        complex array (N,).

    Raises:
        ValueError: if the data set is empty.

    Example:

    >>> import bod_keras
    >>> encoder = bod_keras.encoders.FrameCNN(input_shape=(4, 16, 16, 3), widths=(4,))
    >>> clips = np.random.default_rng(0).random((2, 1, 4, 16, 16, 3), "float32")
    >>> operator_eigenvalues(bod_keras.VSimCLR(encoder), [{"views": clips}]).dtype
    dtype('complex64')
    """
    found, seen = [], 0
    for batch in dataset:
        views = np.asarray(batch["views"])
        embeddings = model(views.reshape(-1, *views.shape[2:]), training=False)
        real, imaginary = linalg.eigenvalues(model.reading_split().split(embeddings).matrix)
        found.append(ops.convert_to_numpy(real) + 1j * ops.convert_to_numpy(imaginary))
        seen += len(embeddings)
        if seen >= clips:
            break
    if not found:
        raise UserError("dataset must yield at least one batch, received none.")
    values = np.concatenate([v.reshape(-1) for v in found])
    return values[np.abs(values) > 1e-3]
