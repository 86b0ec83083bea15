"""Eigenvalues of the Koopman operators of clips."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from keras import ops

from bod_keras.errors import UserError
from bod_keras.koopman import linalg
from bod_keras.koopman.reference_code import ReferenceCodeSplit

if TYPE_CHECKING:
    from bod_keras import ContrastiveModel, KoopmanSplit

_NULL_SPACE = 1e-3  # |lambda| below it belongs to the ridge and says nothing about a clip


def operator_eigenvalues(
    model: ContrastiveModel, dataset: Iterable[Mapping], clips: int = 256
) -> dict[str, np.ndarray]:
    """Return the eigenvalues of the operators of a data set's first clips.

    Eigenvalues of the ridge's null space,
    |lambda| < 1e-3, are left out: they say nothing about the clip.

    Args:
        model: a framework model (`bod_keras.VSimCLR`, ...), plain or decoupled.
        dataset: iterable of dicts whose "views" is (b, V, T, H, W, 3), such as
            `ClipDataset.evaluation()`.
        clips: how many clips to use.

    Returns:
        complex arrays (N,): of the "static part" and the "dynamic part" if each has an embedding of its own,
        otherwise of the "embedding".

    Raises:
        ValueError: the data set is empty.

    Example:
        >>> import bod_keras
        >>> import numpy as np
        >>> from bod_keras.evaluation import operator_eigenvalues
        >>> encoder = bod_keras.encoders.FrameCNN(input_shape=(4, 16, 16, 3), widths=(4,))
        >>> clips = np.random.default_rng(0).random((2, 1, 4, 16, 16, 3), "float32")
        >>> list(operator_eigenvalues(bod_keras.VSimCLR(encoder), [{"views": clips}]))
        ['embedding']
    """
    return chosen_eigenvalues(model, dataset, clips)[0]


def chosen_eigenvalues(
    model: ContrastiveModel, dataset: Iterable[Mapping], clips: int = 256
) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """Return `operator_eigenvalues`, and which of them the model's split takes for static.

    Args:
        model, dataset, clips: as in `operator_eigenvalues`.

    Returns:
        the eigenvalues, and truth values (N,) by the same names.

    Raises:
        ValueError: the data set is empty.

    Example:
        >>> import bod_keras
        >>> import numpy as np
        >>> from bod_keras.evaluation import chosen_eigenvalues
        >>> encoder = bod_keras.encoders.FrameCNN(input_shape=(4, 16, 16, 3), widths=(4,))
        >>> clips = np.random.default_rng(0).random((2, 1, 4, 16, 16, 3), "float32")
        >>> values, static = chosen_eigenvalues(bod_keras.VSimCLR(encoder), [{"views": clips}])
        >>> values["embedding"].shape == static["embedding"].shape
        True
    """
    found, seen = {}, 0
    for batch in dataset:
        views = np.asarray(batch["views"])
        embeddings = model(views.reshape(-1, *views.shape[2:]), training=False)
        for name, part in named_embeddings(model, embeddings).items():
            found.setdefault(name, []).append(eigenvalues_of(model.reading_split(), part))
        seen += len(embeddings)
        if seen >= clips:
            break
    if not found:
        raise UserError("dataset must yield at least one batch. Received: none.")
    joined = {name: [np.concatenate(x) for x in zip(*pairs)] for name, pairs in found.items()}
    return tuple({name: pair[i] for name, pair in joined.items()} for i in range(2))


def named_embeddings(model: ContrastiveModel, embeddings: Any) -> dict:
    """Return what is split by itself: the embeddings of both parts, or the one that both are read from."""
    parts = model.part_embeddings(embeddings)
    names = ("static part", "dynamic part") if len(parts) == 2 else ("embedding",)
    return dict(zip(names, parts))


def eigenvalues_of(layer: KoopmanSplit, embeddings: Any) -> tuple[np.ndarray, np.ndarray]:
    """Return the eigenvalues of frame embeddings (B, T, D), complex (N,), and which of them are static."""
    real, imaginary = linalg.eigenvalues(layer.split(ops.cast(embeddings, "float32")).matrix)
    values = ops.convert_to_numpy(real) + 1j * ops.convert_to_numpy(imaginary)
    distances = np.abs(values - 1)
    if isinstance(layer, ReferenceCodeSplit):
        radius = np.full(len(values), layer.threshold)
    elif layer.threshold is None:
        radius = linalg.closest_radius(ops.convert_to_tensor(np.sort(distances), "float32"))
    else:
        nearest = ops.convert_to_tensor(distances.min(axis=-1), "float32")
        radius = linalg.threshold_radius(nearest, layer.threshold)
    static = distances <= ops.convert_to_numpy(radius)[:, None]
    shown = np.abs(values) > _NULL_SPACE
    return values[shown], static[shown]
