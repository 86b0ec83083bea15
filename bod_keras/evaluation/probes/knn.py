"""The weighted nearest-neighbor classifier, which has nothing to train."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike

from bod_keras.errors import UserError
from bod_keras.evaluation.probes.neighbors import nearest_neighbors
from bod_keras.feature_checks import check_columns, check_features, check_labels, check_split


def knn_accuracy(
    train_x: ArrayLike,
    train_y: ArrayLike,
    test_x: ArrayLike,
    test_y: ArrayLike,
    k: int = 20,
    temperature: float = 0.07,
) -> float:
    """Return the test accuracy of a similarity-weighted vote of the k nearest neighbors.

    With s_i the cosine similarity of a test sample to training sample i, class c gets the vote

        v_c = sum over the k largest s_i of [y_i = c] exp(s_i / temperature),

    and the largest vote wins (a tie: the smaller class). Similarities are those of `nearest_neighbors`.

    Args:
        train_x, train_y, test_x, test_y: as of `linear_probe`.
        k: neighbors that vote. If train has fewer samples, all of them vote.
        temperature: of the exponential weights; smaller trusts the closest more.

    Returns:
        Share of test samples that are classified correctly, in [0, 1].

    Raises:
        UserError: `k` or `temperature` is not positive, and as `linear_probe`.

    Example:
        >>> from bod_keras.evaluation import knn_accuracy
        >>> knn_accuracy([[1.0, 0.0], [0.0, 1.0]], [0, 1], [[3.0, 1.0], [1.0, 2.0]], [0, 1], k=1)
        1.0

    Reference:
        Wu et al., "Unsupervised Feature Learning via Non-Parametric Instance Discrimination",
        CVPR 2018 (arXiv:1805.01978), section 3.4.
    """
    train_x, train_y, test_x, test_y = check_split(train_x, train_y, test_x, test_y)
    classes = np.unique(train_y)
    scores = knn_scores(train_x, train_y, test_x, classes, k, temperature)
    return float(np.mean(classes[scores.argmax(axis=1)] == test_y))


def knn_scores(
    train_x: ArrayLike,
    train_y: ArrayLike,
    test_x: ArrayLike,
    classes: Sequence,
    k: int = 20,
    temperature: float = 0.07,
) -> np.ndarray:
    """Return each class's share of the votes of `knn_accuracy`.

    Args:
        train_x, train_y, test_x, k, temperature: as of `knn_accuracy`.
        classes: the C classes in the order of the columns; one that train lacks gets no vote.

    Returns:
        Shares (M, C) in [0, 1], float64; each row sums to 1.

    Raises:
        UserError: as `knn_accuracy`, and if `classes` lacks one of train.

    Example:
        >>> from bod_keras.evaluation import knn_scores
        >>> x = [[1.0, 0.0], [0.0, 1.0]]
        >>> knn_scores(x, ["run", "jump"], [[3.0, 1.0]], ["jump", "run"], k=1).tolist()
        [[0.0, 1.0]]
    """
    if k < 1:
        raise UserError(f"k must be at least 1 (neighbors that vote). Received: {k!r}. Try k=20.")
    if not temperature > 0:
        raise UserError(
            f"temperature must be positive. Received: {temperature!r}. Try temperature=0.07."
        )
    train_x, test_x = check_features(train_x, "train_x"), check_features(test_x, "test_x")
    columns = check_columns(check_labels(train_y, len(train_x), "train_y"), classes, "train_y")
    nearest, similarity = nearest_neighbors(train_x, test_x, min(int(k), len(train_x)))
    # Only ratios of votes matter, and the largest exponent is then 0.
    weights = np.exp((similarity - similarity[:, :1]) / temperature)
    votes = np.zeros((len(test_x), len(classes)))
    np.add.at(votes, (np.arange(len(votes))[:, None], columns[nearest]), weights)
    return votes / votes.sum(axis=1, keepdims=True)
