"""What the protocols that classify frozen features share."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from bod_keras.errors import UserError
from bod_keras.evaluation.probes.classification import (
    chance,
    classification_scores,
    write_classification,
)
from bod_keras.feature_checks import check_classes


def classify_features(subject: Any, protocol: Any, measure: str, score: Callable) -> dict:
    """Score every label column from every part of the features, and write the tables of each.

    Args:
        subject: a `Subject`.
        protocol: its config.
        measure: what the accuracy is called, "linear" or "knn".
        score: `score(train_x, train_y, test_x, classes)`, scores (M, C) of the test videos.

    Returns:
        `{"factors": {column: {part: measures, "chance": share}}, "files": [...]}`; measures are `measure` (the
        top-1 accuracy), "top5" (None of five classes or fewer) and "mean_class".
    """
    (train_x, train_y, _), (test_x, test_y, _) = labeled_splits(subject, protocol)
    factors: dict[str, dict] = {}
    files = []
    for column, known in train_y.items():
        wanted = test_y[column]
        classes, names = classes_of(subject, column, known, wanted)
        factors[column] = {}
        for part in train_x:
            scores = score(train_x[part], known, test_x[part], classes)
            results = classification_scores(scores, np.searchsorted(classes, wanted), names)
            factors[column][part] = {
                measure: results["top1"],
                "top5": results["top5"],
                "mean_class": results["mean_class"],
            }
            files += write_classification(results, subject.folder / f"{column}-{part}")
        factors[column]["chance"] = chance(wanted)
    return {"factors": factors, "files": [str(f.relative_to(subject.folder)) for f in files]}


def labeled_splits(subject: Any, protocol: Any) -> list[tuple[dict, dict, np.ndarray]]:
    """Return features, labels and positions of train and test, of the parts that a protocol names."""
    read_out = {"kind": protocol.read_out, "time_steps": protocol.time_steps}
    splits = []
    for split in (subject.train, subject.test):
        features, labels, index = subject.labeled(split, protocol.views, protocol.crops, **read_out)
        absent = [part for part in protocol.parts if part not in features]
        if absent:
            raise UserError(
                f"The protocol {protocol.name} asks for the parts {', '.join(protocol.parts)}, but the "
                f"read-out of this model has {', '.join(features)}."
            )
        chosen = {part: features[part] for part in protocol.parts or features}
        splits.append((chosen, labels, index))
    columns = [sorted(labels) for _, labels, _ in splits]
    if columns[0] != columns[1]:
        raise UserError(
            f"train and test must have the same label columns. Received: {columns[0]} and {columns[1]}. Give "
            "both the same kind of list."
        )
    return splits


def classes_of(
    subject: Any, column: str, train_y: ArrayLike, test_y: ArrayLike
) -> tuple[np.ndarray, list[str]]:
    """Return the classes of a column, ascending, and their names.

    Raises:
        ValueError: if train has one class, or lacks one of the test.
    """
    check_classes(np.asarray(train_y), np.asarray(test_y), f"column {column!r}")
    named = subject.train.class_names if column == "label" else []
    classes = np.arange(len(named)) if named else np.unique(train_y)
    return classes, named or [str(c) for c in classes]
