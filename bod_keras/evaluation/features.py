"""Frozen features of a data set, one row per video."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from bod_keras.errors import UserError
from bod_keras.evaluation.read_out import ReadOut
from bod_keras.feature_checks import check_features
from bod_keras.training.predict_filled_up import predict_filled_up


def iterate_features(
    read_out: ReadOut,
    dataset: Iterable[Mapping[str, Any]],
    variants: Mapping[str, Sequence[int]] | None = None,
) -> Iterator[tuple[dict[str, np.ndarray], np.ndarray]]:
    """Yield each part of a read-out for every video, averaged over its views, batch by batch.

    Nothing is trained, dropout is off, and batch normalization uses its moving statistics.

    Args:
        read_out: of the model.
        dataset: one pass over the videos. Each element holds `"views"`, float32 (b, V, T, H, W, 3), and
            `"index"`, integers (b,) that say which videos these are.
        variants: from a name to positions in time, in their order: several clips are cut out of every view,
            and their parts are called "NAME PART". None reads the views as they are.

    Yields:
        The features of one batch, a dict from part to float32 (b, K), and its index, int64 (b,).

    Raises:
        UserError: the dataset yields other shapes or an index twice, or the output of the model is not as
            described or not finite (the part is named).
    """
    seen: list[int] = []
    full = 0
    for batch in dataset:
        views, index = _checked(batch, seen)
        seen += index.tolist()
        videos, count = views.shape[:2]
        clips = views.reshape((-1, *views.shape[2:]))
        full = full or len(clips)
        features = {}
        for name, rows in (variants or {"": slice(None)}).items():
            outputs = predict_filled_up(read_out, clips[:, rows], full)
            for part in read_out.order:
                values = outputs[part]
                if values.ndim != 2 or len(values) != videos * count:
                    raise UserError(
                        f"read_out must give one vector per clip, shape ({videos * count}, K). "
                        f"Received: {values.shape} for part {part!r}. Pool over time and space."
                    )
                check_features(values, f"part {part!r} of the videos {index.tolist()}")
                means = values.reshape((videos, count, -1)).mean(axis=1)
                features[f"{name} {part}".strip()] = means
        yield features, index


def _checked(batch: Mapping, seen: list[int]) -> tuple[np.ndarray, np.ndarray]:
    """The views and the index of a batch."""
    if not isinstance(batch, Mapping) or not {"views", "index"} <= set(batch):
        received = sorted(batch) if isinstance(batch, Mapping) else type(batch).__name__
        raise UserError(
            f'dataset must yield dicts with "views" and "index". Received: {received}. '
            "Use the evaluation form of the data set."
        )
    views, index = np.asarray(batch["views"]), np.asarray(batch["index"], np.int64)
    if views.ndim not in (4, 6) or index.shape != views.shape[:1]:
        raise UserError(
            '"views" must have shape (b, V, T, H, W, 3), or (b, V, T, C) of features, and "index" (b,). '
            f"Received: {views.shape} and {index.shape}. A single clip per video is V = 1."
        )
    numbers, counts = np.unique([*seen, *index], return_counts=True)
    if (counts > 1).any():
        raise UserError(
            f"dataset must yield each video once. Received: the indices {numbers[counts > 1].tolist()} "
            "again. Use the evaluation form of the data set, which ends after one pass."
        )
    return views, index
