"""Average precision of ranked detections, as PASCAL VOC defines it: the area under the curve."""

from __future__ import annotations

import numpy as np

from bod_keras.errors import UserError


def average_precision(scores: np.ndarray, hits: np.ndarray, positives: int) -> float:
    """Return the area under the precision envelope.

    Detections are ranked by score, equal scores in the given order. With precision `p_k` and recall
    `r_k` of the first `k`:

        AP = sum_k (r_k - r_(k-1)) max_(j >= k) p_j.

    Args:
        scores: float `(n,)`.
        hits: bool `(n,)`, whether a detection is a true positive.
        positives: how many there are to be found.

    Returns:
        The area, in [0, 1]; nan where there is nothing to be found.

    Raises:
        ValueError: if the lengths differ, a score is not finite, or there are more hits than
            `positives`.

    Example:
        >>> import numpy as np
        >>> from bod_keras.detection import average_precision
        >>> average_precision(np.array([0.9, 0.8, 0.7]), np.array([True, False, True]), positives=2)
        0.8333333333333333

    Reference:
        Everingham et al., "The PASCAL Visual Object Classes Challenge: A Retrospective", IJCV
        2015; the area has been the official measure since 2010.
    """
    scores, hits = np.asarray(scores, np.float64), np.asarray(hits, bool)
    if scores.shape != hits.shape or scores.ndim != 1:
        raise UserError(
            "scores and hits must be two arrays (n,) of one length. "
            f"Received: shapes {scores.shape} and {hits.shape}"
        )
    if not np.isfinite(scores).all():
        raise UserError("scores must be finite. Received: nan or infinity; did training diverge?")
    if hits.sum() > positives:
        raise UserError(f"There are {positives} to be found. Received: {hits.sum()} hits")
    if not positives:
        return float("nan")
    hits = hits[np.argsort(-scores, kind="stable")]
    found = np.cumsum(hits)
    precision = found / np.arange(1, len(hits) + 1)
    envelope = np.maximum.accumulate(precision[::-1])[::-1]
    return float(envelope[hits].sum() / positives)


def match_by_overlap(overlaps: np.ndarray, threshold: float) -> np.ndarray:
    """Mark which detections are true positives, as PASCAL VOC does.

    Each detection, best score first, looks at the one annotation that it overlaps most. It is a
    hit if that overlap is at least the threshold and no detection before it has taken the
    annotation; it is not passed on to the second best annotation.

    Args:
        overlaps: float `(n, m)` of `n` detections, in order of falling score, with `m` annotations.
        threshold: least overlap.

    Example:
        >>> import numpy as np
        >>> from bod_keras.detection import match_by_overlap
        >>> match_by_overlap(np.array([[0.9, 0.6], [0.8, 0.7]]), threshold=0.5).tolist()
        [True, False]
    """
    hits = np.zeros(len(overlaps), bool)
    if not overlaps.size:
        return hits
    best = overlaps.argmax(axis=1)
    near = np.flatnonzero(overlaps[np.arange(len(overlaps)), best] >= threshold)
    # The first one of each annotation.
    _, first = np.unique(best[near], return_index=True)
    hits[near[first]] = True
    return hits
