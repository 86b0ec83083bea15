"""Eigenvalues of the Koopman operators of clips."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

import numpy as np
from keras import ops

from bod_keras.errors import UserError
from bod_keras.koopman import linalg

if TYPE_CHECKING:
    from bod_keras import ContrastiveModel, KoopmanSplit

_NULL_SPACE = 1e-3  # |lambda| below it belongs to the ridge and says nothing about a clip


def operator_eigenvalues(
    model: ContrastiveModel, dataset: Iterable[Mapping], clips: int = 256
) -> np.ndarray:
    """Return the eigenvalues of the operators of a data set's first clips.

    Those of both parts, if each has an embedding of its own. Eigenvalues of the ridge's null space,
    |lambda| < 1e-3, are left out: they say nothing about the clip.

    Args:
        model: a framework model (`bod_keras.VSimCLR`, ...), plain or decoupled.
        dataset: iterable of dicts whose "views" is (b, V, T, H, W, 3), such as
            `ClipDataset.evaluation()`.
        clips: how many clips to use.

    Returns:
        complex array (N,).

    Raises:
        ValueError: the data set is empty.

    Example:

    >>> import bod_keras
    >>> import numpy as np
    >>> from bod_keras.evaluation import operator_eigenvalues
    >>> encoder = bod_keras.encoders.FrameCNN(input_shape=(4, 16, 16, 3), widths=(4,))
    >>> clips = np.random.default_rng(0).random((2, 1, 4, 16, 16, 3), "float32")
    >>> operator_eigenvalues(bod_keras.VSimCLR(encoder), [{"views": clips}]).dtype
    dtype('complex64')
    """
    found, seen = [], 0
    for batch in dataset:
        views = np.asarray(batch["views"])
        embeddings = model(views.reshape(-1, *views.shape[2:]), training=False)
        for part in model.part_embeddings(embeddings):
            found.append(eigenvalues_of(model.reading_split(), part))
        seen += len(embeddings)
        if seen >= clips:
            break
    if not found:
        raise UserError("dataset must yield at least one batch, received none.")
    return np.concatenate(found)


def eigenvalues_of(layer: KoopmanSplit, embeddings) -> np.ndarray:
    """Return the eigenvalues of the operators of frame embeddings (B, T, D), complex (N,)."""
    real, imaginary = linalg.eigenvalues(layer.split(ops.cast(embeddings, "float32")).matrix)
    values = (ops.convert_to_numpy(real) + 1j * ops.convert_to_numpy(imaginary)).ravel()
    return values[np.abs(values) > _NULL_SPACE]
