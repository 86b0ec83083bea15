"""How much of a label a linear classifier reads from frozen features."""

import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler

from bod_keras.evaluation._checks import check_columns, check_features, check_labels, check_split

_STRENGTHS = (1e-3, 1e-2, 1e-1, 1.0, 10.0)  # inverse L2 penalties, strongest first
_DEFAULT_STRENGTH = 1.0
_HELD_OUT = 0.25  # share of each class of train on which the penalty is chosen


def linear_probe(train_x, train_y, test_x, test_y, seed: int = 0) -> float:
    """Returns the test accuracy of multinomial logistic regression on standardised features.

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
    >>> rng = np.random.default_rng(0)
    >>> y = np.arange(80) % 2
    >>> x = rng.normal(size=(80, 3)) + 9.0 * y[:, None]
    >>> linear_probe(x[:40], y[:40], x[40:], y[40:])
    1.0
    """
    train_x, train_y, test_x, test_y = check_split(train_x, train_y, test_x, test_y)
    strength = _strength(train_x, train_y, seed)
    return _accuracy(train_x, train_y, test_x, test_y, strength)


def linear_scores(
    train_x, train_y, test_x, classes, seed: int = 0, solver: str = "lbfgs"
) -> np.ndarray:
    """Returns the probabilities (M, C) that `linear_probe`'s classifier gives to the classes."""
    train_x, test_x = check_features(train_x, "train_x"), check_features(test_x, "test_x")
    columns = check_columns(check_labels(train_y, len(train_x), "train_y"), classes, "train_y")
    scaler = StandardScaler().fit(train_x)
    classifier = LogisticRegression(C=_strength(train_x, np.asarray(train_y), seed), max_iter=2000)
    classifier.fit(scaler.transform(train_x), columns)
    scores = np.zeros((len(test_x), len(classes)))
    scores[:, classifier.classes_] = classifier.predict_proba(scaler.transform(test_x))
    return scores


def _strength(train_x, train_y, seed: int) -> float:
    held_out = _held_out_mask(train_y, seed)
    strength = _DEFAULT_STRENGTH
    if held_out.any():
        accuracies = [
            _accuracy(
                train_x[~held_out], train_y[~held_out], train_x[held_out], train_y[held_out], c
            )
            for c in _STRENGTHS
        ]
        strength = _STRENGTHS[int(np.argmax(accuracies))]
    return strength


def _held_out_mask(labels: np.ndarray, seed: int) -> np.ndarray:
    """Marks a quarter of each class, at least one sample, never a class's only one."""
    rng = np.random.default_rng(seed)
    mask = np.zeros(len(labels), dtype=bool)
    for label in np.unique(labels):
        members = rng.permutation(np.flatnonzero(labels == label))
        if len(members) > 1:
            mask[members[: max(1, int(_HELD_OUT * len(members)))]] = True
    return mask


def _accuracy(train_x, train_y, test_x, test_y, strength: float) -> float:
    """Fits the scaler and the classifier to train, and scores test."""
    scaler = StandardScaler().fit(train_x)
    classifier = LogisticRegression(C=strength, max_iter=2000)
    classifier.fit(scaler.transform(train_x), train_y)
    return float(np.mean(classifier.predict(scaler.transform(test_x)) == test_y))
