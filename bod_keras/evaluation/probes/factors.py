"""From which part of a read-out which factor of the data can be predicted."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from bod_keras.errors import UserError
from bod_keras.evaluation.probes.classification import chance
from bod_keras.evaluation.probes.knn import knn_accuracy
from bod_keras.evaluation.probes.linear_probe import linear_probe
from bod_keras.evaluation.probes.mlp_probe import mlp_probe
from bod_keras.feature_checks import check_classes, check_features, check_labels

_Split = tuple[Mapping[str, np.ndarray], Mapping[str, np.ndarray]]
MEASURES = {
    "linear": linear_probe,
    "knn": lambda *arrays, seed: knn_accuracy(*arrays),
    "mlp": mlp_probe,
}


def factor_probes(
    train: _Split, test: _Split, seed: int = 0, measures: Sequence[str] = ("linear", "knn")
) -> dict[str, dict]:
    """Return the accuracy with which each factor is read from each part of the features.

    Every pair of a factor (say "static", "dynamic") and a part (say "pooled", "static", "dynamic")
    gets the probes that are asked for, with their defaults: a linear one, a vote of nearest neighbors, a
    network with one hidden layer.

    Args:
        train: `(features, labels)`: a dict from part to (N, K), as `Subject.features` gives it,
            and a dict from factor to classes (N,).
        test: the same for the test split, with the same parts and factors.
        seed: of the probes.
        measures: one or more of "linear" (`linear_probe`), "knn" (`knn_accuracy`) and "mlp" (`mlp_probe`).

    Returns:
        A dict of plain Python values, from factor to a dict with, for each part,
        `{measure: accuracy, ...}`, and two more entries: `"chance"`, the accuracy of the best
        constant answer on test (1 / classes where they are balanced), and `"best"`,
        `{"part": name, measure: accuracy}` of the part with the largest accuracy on test by the first
        measure (a tie: the first part). As a maximum it is optimistic: compare it with other maxima only.

    Raises:
        ValueError: if a measure is unknown, train and test differ in parts, factors or widths, a class
            occurs in test only, a factor has one class, lengths disagree, or features are not finite
            (part or factor and split are named).

    Example:
        >>> from bod_keras.evaluation import factor_probes
        >>> import numpy as np
        >>> y = np.arange(16) % 2
        >>> split = ({"pooled": np.eye(2)[y]}, {"static": y})
        >>> factor_probes(split, split)["static"]["best"]
        {'part': 'pooled', 'linear': 1.0}
    """
    unknown = [measure for measure in measures if measure not in MEASURES]
    if unknown or not measures:
        raise UserError(
            f"measures must name one or more of {', '.join(MEASURES)}. Received: {list(measures)}."
        )
    _check_splits(train, test)
    results: dict[str, dict] = {}
    for factor in train[1]:
        train_y, test_y = np.asarray(train[1][factor]), np.asarray(test[1][factor])
        scores: dict = {}
        for part in train[0]:
            arrays = (train[0][part], train_y, test[0][part], test_y)
            scores[part] = {measure: MEASURES[measure](*arrays, seed=seed) for measure in measures}
        best = max(train[0], key=lambda part: scores[part][measures[0]])
        scores["chance"] = chance(test_y)
        scores["best"] = {"part": best, measures[0]: scores[best][measures[0]]}
        results[factor] = scores
    return results


def _check_splits(train: _Split, test: _Split) -> None:
    """Raise unless both splits agree in parts, factors and classes, and are finite."""
    for position, what in enumerate(("parts", "factors")):
        in_train, in_test = list(train[position]), list(test[position])
        if not in_train or set(in_train) != set(in_test):
            raise UserError(
                f"train and test must have the same {what}, at least one. Received: {in_train} in "
                f"train and {in_test} in test. Read both with the same model and label file."
            )
    for (features, labels), where in ((train, "train"), (test, "test")):
        for part, values in features.items():
            rows = len(check_features(values, f"part {part!r} of {where}"))
        for factor, values in labels.items():
            check_labels(values, rows, f"factor {factor!r} of {where}")
    for factor in train[1]:
        check_classes(train[1][factor], test[1][factor], f"factor {factor!r}")
