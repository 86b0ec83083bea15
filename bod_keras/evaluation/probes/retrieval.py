"""How often a video's nearest neighbors show its class."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike

from bod_keras.errors import UserError
from bod_keras.evaluation.probes.neighbors import nearest_neighbors
from bod_keras.feature_checks import check_classes, check_features, check_labels


def retrieval_recalls(
    gallery: ArrayLike,
    gallery_y: ArrayLike,
    queries: ArrayLike,
    queries_y: ArrayLike,
    ks: Sequence[int] = (1, 5, 10, 20, 50),
    center: bool = False,
) -> dict[str, float]:
    """Return R@k: the share of queries of which one of the k nearest neighbors shares the class.

    With n_1(q), n_2(q), ... the gallery samples in the order of `nearest_neighbors`,

        R@k = mean over q of [y(n_i(q)) = y(q) for some i <= k].

    Args:
        gallery: features (N, K), in this field those of the training videos.
        gallery_y: classes (N,), integers or strings.
        queries: features (M, K), those of the test videos.
        queries_y: classes (M,), each of which occurs in `gallery_y`.
        ks: numbers of neighbors. Those above N are left out: the result does not have them.
        center: subtract from each of the two sets its own mean first.

    Returns:
        A dict from "R@1", ... to shares in [0, 1].

    Raises:
        ValueError: if no k lies in 1 to N or one is below 1, shapes disagree, features are not
            finite, the gallery has one class, or queries have a class that it lacks.

    Example:
        >>> from bod_keras.evaluation import retrieval_recalls
        >>> retrieval_recalls([[1.0, 0.0], [0.0, 1.0]], [0, 1], [[3.0, 1.0], [2.0, 1.0]], [0, 1], ks=(1, 2))
        {'R@1': 0.5, 'R@2': 1.0}

    Reference:
        Büchler et al., "Improving Spatiotemporal Self-Supervision by Deep Reinforcement Learning",
        ECCV 2018, for "any of the first k" on UCF101.
    """
    gallery, queries = check_features(gallery, "gallery"), check_features(queries, "queries")
    gallery_y = check_labels(gallery_y, len(gallery), "gallery_y")
    queries_y = check_labels(queries_y, len(queries), "queries_y")
    check_classes(gallery_y, queries_y, "labels of the gallery (train) and the queries (test)")
    possible = [k for k in ks if k <= len(gallery)]
    if not possible or min(possible) < 1:
        raise UserError(
            "ks must be numbers of neighbors, at least 1, one of them no larger than the gallery, "
            f"{len(gallery)}. Received: {tuple(ks)}."
        )
    index, _ = nearest_neighbors(gallery, queries, max(possible), center)
    hits = np.cumsum(gallery_y[index] == queries_y[:, None], axis=1) > 0
    return {f"R@{k}": float(hits[:, k - 1].mean()) for k in possible}
