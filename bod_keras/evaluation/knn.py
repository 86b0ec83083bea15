"""Accuracy of the weighted nearest-neighbour classifier, which has nothing to train."""

import numpy as np

from bod_keras.evaluation._checks import check_split

_ROWS_AT_ONCE = 1024  # test rows per similarity matrix, so that memory does not grow with the test


def knn_accuracy(train_x, train_y, test_x, test_y, k: int = 20, temperature: float = 0.07) -> float:
    """Returns the test accuracy of a similarity-weighted vote of the k nearest neighbours.

    With s_i the cosine similarity of a test sample to training sample i, class c gets the vote

        v_c = sum over the k largest s_i of [y_i = c] exp(s_i / temperature),

    and the largest vote wins (a tie: the smaller class). A zero vector has similarity 0 to all.

    Args:
        train_x: features (N, K).
        train_y: classes (N,), integers or strings.
        test_x: features (M, K).
        test_y: classes (M,), each of which occurs in `train_y`.
        k: neighbours that vote. If train has fewer samples, all of them vote.
        temperature: of the exponential weights; smaller trusts the closest more.

    Returns:
        Share of test samples that are classified correctly, in [0, 1].

    Raises:
        ValueError: if `k` or `temperature` is not positive, shapes disagree, features are not
            finite, train has one class, or test has a class that train lacks.

    Example:

    >>> knn_accuracy([[1.0, 0.0], [0.0, 1.0]], [0, 1], [[3.0, 1.0], [1.0, 2.0]], [0, 1], k=1)
    1.0

    Reference:
        Wu et al., "Unsupervised Feature Learning via Non-Parametric Instance Discrimination",
        CVPR 2018 (arXiv:1805.01978), section 3.4.
    """
    if k < 1:
        raise ValueError(f"k must be at least 1 (neighbours that vote), received {k!r}. Try k=20.")
    if not temperature > 0:
        raise ValueError(
            f"temperature must be positive, received {temperature!r}. Try temperature=0.07."
        )
    train_x, train_y, test_x, test_y = check_split(train_x, train_y, test_x, test_y)
    classes, train_codes = np.unique(train_y, return_inverse=True)
    train_x, test_x = _unit_rows(train_x), _unit_rows(test_x)
    k = min(int(k), len(train_x))
    correct = 0
    for start in range(0, len(test_x), _ROWS_AT_ONCE):
        rows = slice(start, start + _ROWS_AT_ONCE)
        similarity = test_x[rows] @ train_x.T
        nearest = np.argpartition(-similarity, k - 1, axis=1)[:, :k]
        closest = np.take_along_axis(similarity, nearest, axis=1)
        # Only ratios of votes matter, and the largest exponent is then 0.
        weights = np.exp((closest - closest.max(axis=1, keepdims=True)) / temperature)
        votes = np.zeros((len(similarity), len(classes)))
        np.add.at(votes, (np.arange(len(votes))[:, None], train_codes[nearest]), weights)
        correct += int(np.sum(classes[votes.argmax(axis=1)] == test_y[rows]))
    return correct / len(test_x)


def _unit_rows(features: np.ndarray) -> np.ndarray:
    """Divides each row by its length; a zero row stays zero."""
    # Dividing by the largest entry first keeps the squares within range.
    largest = np.abs(features).max(axis=1, keepdims=True)
    features = features / np.where(largest > 0, largest, 1.0)
    length = np.linalg.norm(features, axis=1, keepdims=True)
    return features / np.where(length > 0, length, 1.0)
