"""How much of a label a linear classifier reads from frozen features."""

from __future__ import annotations

import warnings
from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike

from bod_keras.evaluation.probes.held_out import choose
from bod_keras.feature_checks import check_columns, check_split

_STRENGTHS = (1e-3, 1e-2, 1e-1, 1.0, 10.0)  # inverse L2 penalties, strongest first
_USUAL_STRENGTH = 1.0


def linear_probe(
    train_x: ArrayLike, train_y: ArrayLike, test_x: ArrayLike, test_y: ArrayLike, seed: int = 0
) -> float:
    """Return the test accuracy of multinomial logistic regression on standardized features.

    The L2 penalty is chosen among five, 1/C with C = 0.001, 0.01, 0.1, 1 and 10, by accuracy on
    a quarter of each class of train (ties: the stronger penalty); the classifier is then fitted
    to all of train. Test is used once, for the accuracy. If no class has two samples, C = 1.

    Args:
        train_x: features (N, K).
        train_y: classes (N,), integers or strings.
        test_x: features (M, K).
        test_y: classes (M,), each of which occurs in `train_y`.
        seed: of the draw of the quarter; nothing else is random.

    Returns:
        Share of test samples that are classified correctly, in [0, 1].

    Raises:
        ValueError: if shapes disagree, features are not finite, train has one class, or test has
            a class that train lacks.

    Example:
        >>> import numpy as np
        >>> from bod_keras.evaluation import linear_probe
        >>> rng = np.random.default_rng(0)
        >>> y = np.arange(80) % 2
        >>> x = rng.normal(size=(80, 3)) + 9.0 * y[:, None]
        >>> linear_probe(x[:40], y[:40], x[40:], y[40:])
        1.0
    """
    train_x, train_y, test_x, test_y = check_split(train_x, train_y, test_x, test_y)
    classes = np.unique(train_y)
    scores = linear_scores(train_x, train_y, test_x, classes, seed)
    return float(np.mean(classes[scores.argmax(axis=1)] == test_y))


def linear_scores(
    train_x: ArrayLike, train_y: ArrayLike, test_x: ArrayLike, classes: Sequence, seed: int = 0
) -> np.ndarray:
    """Return the probabilities that the classifier of `linear_probe` gives to each class.

    Args:
        train_x, train_y, test_x, seed: as of `linear_probe`.
        classes: the C classes in the order of the columns; one that train lacks gets 0.

    Returns:
        Probabilities (M, C), float64.

    Raises:
        UserError: as `linear_probe`, and if `classes` lacks one of train.

    Example:
        >>> import numpy as np
        >>> from bod_keras.evaluation import linear_scores
        >>> x = np.array([[0.0], [1.0], [8.0], [9.0]])
        >>> linear_scores(x, [0, 0, 1, 1], x, [0, 1]).argmax(axis=1).tolist()
        [0, 0, 1, 1]
    """
    train_x, train_y, test_x, _ = check_split(train_x, train_y, test_x)
    check_columns(train_y, classes, "train_y")

    def answers(strength: float, x: np.ndarray, y: np.ndarray, new: np.ndarray) -> np.ndarray:
        present, scores = _probabilities(strength, x, y, new)
        return present[scores.argmax(axis=1)]

    strength = choose(_STRENGTHS, _USUAL_STRENGTH, answers, train_x, train_y, seed)
    present, scores = _probabilities(strength, train_x, train_y, test_x)
    probabilities = np.zeros((len(test_x), len(classes)))
    probabilities[:, check_columns(present, classes, "train_y")] = scores
    return probabilities


def _probabilities(strength, train_x, train_y, test_x) -> tuple[np.ndarray, np.ndarray]:
    """The classes that train has, and their probabilities of test."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.preprocessing import StandardScaler

    scaler = StandardScaler().fit(train_x)
    classifier = LogisticRegression(C=strength, max_iter=2000)
    with warnings.catch_warnings():
        # It takes labels with few samples each for numbers; one shot a class is a use of a probe.
        warnings.filterwarnings("ignore", "The number of unique classes is greater", UserWarning)
        classifier.fit(scaler.transform(train_x), train_y)
    return classifier.classes_, classifier.predict_proba(scaler.transform(test_x))
