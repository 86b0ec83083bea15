"""Frozen features of a data set, one row per video."""

from collections.abc import Iterable, Iterator, Mapping

import keras
import numpy as np

from bod_keras.errors import UserError
from bod_keras.evaluation.read_out import ReadOut
from bod_keras.training.checks import check_features


def extract_features(
    model: keras.Model, dataset: Iterable[Mapping]
) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """Returns each part of the model's read-out for every video, averaged over its views.

    A model with a method `read_out(clips)`, as the frameworks have, gives the parts that it names
    (`"pooled"`, `"static"`, `"dynamic"`). Any other model is taken for an encoder from clips to
    frame features (batch, time, channels) and gives `"pooled"`, their mean over time. Nothing is
    trained, dropout is off, and batch normalisation uses its moving statistics.

    Args:
        model: a framework model or an encoder.
        dataset: one pass over the videos. Each element holds `"views"`, float32
            (b, V, T, H, W, 3), and `"index"`, integers (b,) that say which videos these are.

    Returns:
        `(features, index)`: a dict from part to float32 (N, K), and the videos' indices in the
        same order, int64 (N,), with which labels are to be looked up.

    Raises:
        ValueError: if the dataset is empty, yields other shapes or an index twice, or if the
            model's output is not as described or not finite (the part is named).

    Example:

    >>> import numpy as np
    >>> encoder = keras.Sequential([keras.layers.Reshape((4, 12))])
    >>> batch = {"views": np.ones((2, 1, 4, 2, 2, 3), "float32"), "index": np.array([7, 5])}
    >>> features, index = extract_features(encoder, [batch])
    >>> features["pooled"].shape, index.tolist()
    ((2, 12), [7, 5])
    """
    parts: dict[str, list[np.ndarray]] = {}
    indices: list[np.ndarray] = []
    for features, index in iterate_features(ReadOut(model), dataset):
        indices.append(index)
        for part, values in features.items():
            parts.setdefault(part, []).append(values)
    if not indices:
        raise UserError(
            "dataset must yield at least one batch, received an empty one. Check that the split "
            "has videos, and pass a fresh iterable: a generator can be read only once."
        )
    features = {part: np.concatenate(values) for part, values in parts.items()}
    return features, np.concatenate(indices)


def iterate_features(
    read_out: ReadOut, dataset: Iterable[Mapping]
) -> Iterator[tuple[dict[str, np.ndarray], np.ndarray]]:
    """Yields what `extract_features` returns batch by batch, as soon as it is there.

    Args:
        read_out: of the model.
        dataset: as of `extract_features`.

    Yields:
        `(features, index)` of one batch: a dict from part to float32 (b, K), and int64 (b,).

    Raises:
        ValueError: as `extract_features`, except of an empty dataset.

    Example:

    >>> encoder = keras.Sequential([keras.layers.Reshape((4, 12))])
    >>> batch = {"views": np.ones((2, 1, 4, 2, 2, 3), "float32"), "index": np.array([7, 5])}
    >>> [index.tolist() for _, index in iterate_features(ReadOut(encoder), [batch])]
    [[7, 5]]
    """
    seen: set[int] = set()
    full = 0
    for batch in dataset:
        views, index = _checked_batch(batch, seen)
        seen.update(index)
        videos, count = views.shape[:2]
        clips = views.reshape((-1, *views.shape[2:]))
        full = full or len(clips)
        # A smaller last batch is filled up, or it would be compiled anew.
        missing = np.repeat(clips[-1:], max(0, full - len(clips)), axis=0)
        outputs = read_out.predict_on_batch(np.concatenate([clips, missing]))
        features = {}
        for part in read_out.order:
            values = outputs[part]
            values = values[: len(clips)] if len(values) == len(clips) + len(missing) else values
            if values.ndim != 2 or len(values) != videos * count:
                raise UserError(
                    f"read_out must give one vector per clip, shape ({videos * count}, K), "
                    f"received {values.shape} for part {part!r}. Pool over time and space."
                )
            check_features(values, f"part {part!r} of the videos {index}")
            features[part] = values.reshape((videos, count, -1)).mean(axis=1)
        yield features, np.array(index, dtype=np.int64)


def _checked_batch(batch: Mapping, seen: set[int]) -> tuple[np.ndarray, list[int]]:
    """Returns the views and the indices of a batch, or raises an error about their shapes."""
    if not isinstance(batch, Mapping) or not {"views", "index"} <= set(batch):
        received = sorted(batch) if isinstance(batch, Mapping) else type(batch).__name__
        raise UserError(
            f'dataset must yield dicts with "views" and "index", received {received}. '
            "Use the evaluation form of the data set."
        )
    views, index = np.asarray(batch["views"]), np.asarray(batch["index"])
    if views.ndim != 6 or index.shape != views.shape[:1]:
        raise UserError(
            '"views" must have shape (b, V, T, H, W, 3) and "index" shape (b,), received '
            f"{views.shape} and {index.shape}. A single clip per video is V = 1."
        )
    indices = [int(i) for i in index]
    repeated = sorted(i for i in set(indices) if i in seen or indices.count(i) > 1)
    if repeated:
        raise UserError(
            f"dataset must yield each video once, received the indices {repeated} again. Use the "
            "evaluation form of the data set, which ends after one pass."
        )
    return views, indices
