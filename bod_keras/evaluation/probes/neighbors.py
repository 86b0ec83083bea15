"""The nearest samples of a gallery, by cosine similarity."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from bod_keras.errors import UserError
from bod_keras.feature_checks import check_features, check_widths

_CELLS_AT_ONCE = 2**24  # of the similarity matrix, 128 MiB: memory does not grow with the queries
_DECIMALS = 12  # of a similarity; what is beyond depends on the order in which a product is summed


def nearest_neighbors(
    gallery: ArrayLike, queries: ArrayLike, k: int, center: bool = False
) -> tuple[np.ndarray, np.ndarray]:
    """Return the k gallery rows that are most similar to each query, the most similar first.

    The similarity is the cosine, rounded to 12 decimals; of equally similar rows the one with the
    smaller index comes first. A zero row has similarity 0 to all.

    Args:
        gallery: features (N, K).
        queries: features (M, K).
        k: neighbors of a query, 1 to N.
        center: subtract from each of the two sets its own mean first.

    Returns:
        `(index, similarity)`: rows of the gallery, int64 (M, k), and their similarities, float64
        (M, k).

    Raises:
        ValueError: if k is not in 1 to N, widths disagree, or features are not finite.

    Example:
        >>> from bod_keras.evaluation import nearest_neighbors
        >>> index, similarity = nearest_neighbors([[0.0, 2.0], [3.0, 0.0]], [[1.0, 0.0]], k=2)
        >>> index.tolist(), similarity.tolist()
        ([[1, 0]], [[1.0, 0.0]])
    """
    gallery = check_features(gallery, "gallery")
    queries = check_features(queries, "queries")
    check_widths(gallery, queries, "gallery and queries")
    if not 1 <= k <= len(gallery):
        raise UserError(
            f"k must be between 1 and the rows of the gallery, {len(gallery)}. Received: {k!r}. "
            "Ask for fewer neighbors, or give a larger gallery."
        )
    if center:
        gallery, queries = gallery - gallery.mean(axis=0), queries - queries.mean(axis=0)
    gallery, queries = _unit_rows(gallery), _unit_rows(queries)
    index = np.empty((len(queries), k), np.int64)
    similarity = np.empty((len(queries), k))
    step = max(1, _CELLS_AT_ONCE // len(gallery))
    for start in range(0, len(queries), step):
        rows = slice(start, start + step)
        block = np.round(queries[rows] @ gallery.T, _DECIMALS)
        index[rows] = _largest(block, k)
        similarity[rows] = np.take_along_axis(block, index[rows], axis=1)
    return index, similarity


def _largest(block: np.ndarray, k: int) -> np.ndarray:
    """Columns of the k largest entries of each row, in descending order, ties by column."""
    chosen = np.sort(np.argpartition(-block, k - 1, axis=1)[:, :k], axis=1)
    values = np.take_along_axis(block, chosen, axis=1)
    order = np.argsort(-values, axis=1, kind="stable")
    chosen = np.take_along_axis(chosen, order, axis=1)
    # Where the k-th value is there once more, a partition takes any of its columns.
    tied = np.flatnonzero((block >= values.min(axis=1, keepdims=True)).sum(axis=1) > k)
    for row in tied:
        chosen[row] = np.argsort(-block[row], kind="stable")[:k]
    return chosen


def _unit_rows(features: np.ndarray) -> np.ndarray:
    """Divide each row by its length; a zero row stays zero."""
    # Dividing by the largest entry first keeps the squares within range.
    largest = np.abs(features).max(axis=1, keepdims=True)
    features = features / np.where(largest > 0, largest, 1.0)
    length = np.linalg.norm(features, axis=1, keepdims=True)
    return features / np.where(length > 0, length, 1.0)
