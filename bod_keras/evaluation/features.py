"""Frozen features of a data set, one row per video."""

from collections.abc import Iterable, Iterator, Mapping

import numpy as np

from bod_keras.errors import UserError
from bod_keras.evaluation.read_out import ReadOut
from bod_keras.feature_checks import check_features
from bod_keras.training.predict_filled_up import predict_filled_up


def iterate_features(
    read_out: ReadOut, dataset: Iterable[Mapping]
) -> Iterator[tuple[dict[str, np.ndarray], np.ndarray]]:
    """Yield each part of a read-out for every video, averaged over its views, batch by batch.

    Nothing is trained, dropout is off, and batch normalization uses its moving statistics.

    Args:
        read_out: of the model.
        dataset: one pass over the videos. Each element holds `"views"`, float32
            (b, V, T, H, W, 3), and `"index"`, integers (b,) that say which videos these are.

    Yields:
        `(features, index)` of one batch: a dict from part to float32 (b, K), and int64 (b,), with
        which labels are to be looked up.

    Raises:
        ValueError: the dataset yields other shapes or an index twice, or the output of the model is
            not as described or not finite (the part is named).

    Example:
        >>> import keras
        >>> import numpy as np
        >>> from bod_keras.evaluation.features import iterate_features
        >>> from bod_keras.evaluation.read_out import ReadOut
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
        outputs = predict_filled_up(read_out, clips, full)
        features = {}
        for part in read_out.order:
            values = outputs[part]
            if values.ndim != 2 or len(values) != videos * count:
                raise UserError(
                    f"read_out must give one vector per clip, shape ({videos * count}, K), "
                    f"received {values.shape} for part {part!r}. Pool over time and space."
                )
            check_features(values, f"part {part!r} of the videos {index}")
            features[part] = values.reshape((videos, count, -1)).mean(axis=1)
        yield features, np.array(index, dtype=np.int64)


def _checked_batch(batch: Mapping, seen: set[int]) -> tuple[np.ndarray, list[int]]:
    """Return the views and the indices of a batch, or raises an error about their shapes."""
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
