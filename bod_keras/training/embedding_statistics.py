"""Do embeddings tell videos apart: similarities, alignment, uniformity, effective rank."""

from collections.abc import Sequence

import numpy as np

from bod_keras.errors import UserError
from bod_keras.feature_checks import check_features


def embedding_statistics(views: Sequence[np.ndarray]) -> dict[str, float]:
    """Return statistics of how embeddings of several views of videos lie on the unit sphere.

    Rows are divided by their length first, as contrastive losses do; a zero row stays zero. With x and y
    two clips, P the pairs of different clips of one video and N the pairs of clips of different videos,

        positive_similarity = mean_P x.y                  in [-1, 1], 1 if all views agree
        negative_similarity = mean_N x.y                  in [-1, 1], near 0 if videos are spread
        alignment           = mean_P |x - y|^2            in [0, 4]
        uniformity          = log mean_N exp(-2 |x - y|^2)  in [-8, 0], 0 if all videos are one point
        effective_rank      = exp(-sum_k p_k log p_k),  p_k = s_k / sum_j s_j,

    with s the singular values of all V B rows. The effective rank lies between 1 and min(V B, D).

    The rows are not centered for it, as in RankMe. So a collapse to a point gives 1 (centered, only rounding
    noise would be left, which has full rank), one to a line through the origin gives 1 too, one to any arc at
    most 2, and a narrow cone counts for little more than its axis. If all rows are zero it is 1.

    Wang and Isola's uniformity draws both clips independently; here pairs of one video are left out, of
    which a small sample has too many. Of rows that are not zero, alignment is 2 - 2 positive_similarity.

    Args:
        views: V arrays (B, D), V and B at least 2; row i of each is a clip of video i.

    Returns:
        A dict of the five floats, named as above. Memory grows with (V B)^2.

    Raises:
        ValueError: fewer than two views or videos, shapes that differ, or values that are not finite.

    Example:
        >>> import numpy as np
        >>> from bod_keras.training.embedding_statistics import embedding_statistics
        >>> apart = embedding_statistics([np.eye(4), np.eye(4)])
        >>> [round(apart[name], 3) for name in ("negative_similarity", "uniformity", "effective_rank")]
        [0.0, -4.0, 4.0]
        >>> point = embedding_statistics([np.ones((4, 3)), np.ones((4, 3))])
        >>> [round(point[name], 3) for name in ("negative_similarity", "uniformity", "effective_rank")]
        [1.0, 0.0, 1.0]

    Reference:
        Wang and Isola, arXiv 2005.10242 (alpha = 2, t = 2); Roy and Vetterli, "The effective rank", EUSIPCO
        2007; of embeddings: Garrido et al., "RankMe", arXiv 2210.02885.
    """
    rows = [check_features(view, f"views[{i}]") for i, view in enumerate(views)]
    shapes = [view.shape for view in rows]
    if len(rows) < 2 or len(set(shapes)) > 1 or shapes[0][0] < 2:
        raise UserError(
            "views must hold at least two arrays of one shape (B, D) with B at least 2. Received: shapes "
            f"{shapes}. Stack as many clips of every video, of at least two videos."
        )
    x = _directions(np.concatenate(rows))

    videos = np.tile(np.arange(len(rows[0])), len(rows))
    of_one_video = videos[:, None] == videos
    positive, negative = of_one_video & ~np.eye(len(x), dtype=bool), ~of_one_video
    similarity = x @ x.T
    squares = np.diag(similarity)
    distance = np.maximum(squares[:, None] + squares - 2 * similarity, 0.0)
    return {
        "positive_similarity": float(similarity[positive].mean()),
        "negative_similarity": float(similarity[negative].mean()),
        "alignment": float(distance[positive].mean()),
        "uniformity": float(np.log(np.exp(-2 * distance[negative]).mean())),
        "effective_rank": effective_rank(x),
    }


def effective_rank(x: np.ndarray) -> float:
    """Return the effective rank of `embedding_statistics` of rows (N, D), 1 if all are zero.

    Example:
        >>> import numpy as np
        >>> from bod_keras.training.embedding_statistics import effective_rank
        >>> round(effective_rank(5.0 * np.eye(3)), 3)
        3.0
    """
    values = np.linalg.svd(_directions(x), compute_uv=False)
    share = values[values > 0] / max(values.sum(), np.finfo(float).tiny)
    return float(np.exp(-np.sum(share * np.log(share))))


def _directions(x):
    """Rows of length 1; a zero row stays zero."""
    length = np.linalg.norm(x, axis=1, keepdims=True)
    return x / np.where(length > 0, length, 1.0)
