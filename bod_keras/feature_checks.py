"""Checks of matrices of features and their labels, for monitors and probes."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from bod_keras.errors import UserError


def check_features(features: Any, what: str) -> np.ndarray:
    """Return `features` as float64 (N, K), or raise an error that names them as `what`."""
    features = np.asarray(features)
    if features.ndim != 2 or 0 in features.shape:
        raise UserError(
            f"{what} must be a matrix (N, K) with at least one row and one column. Received: shape "
            f"{features.shape}. Average over views and time, or flatten, first."
        )
    features = features.astype(np.float64)
    bad = np.flatnonzero(~np.isfinite(features).all(axis=1))
    if bad.size:
        raise UserError(
            f"{what} must be finite. Received: NaN or infinity in {bad.size} of {len(features)} "
            f"rows, first in row {bad[0]}. Look at the training losses and at that video."
        )
    return features


def check_widths(one: np.ndarray, other: np.ndarray, what: str) -> None:
    """Raise unless two matrices of features have equally many columns."""
    if one.shape[1] != other.shape[1]:
        raise UserError(
            f"{what} must have the same number of columns. Received: {one.shape[1]} and "
            f"{other.shape[1]}. Extract both with the same model."
        )


def check_labels(labels: ArrayLike, rows: int, what: str) -> np.ndarray:
    """Return `labels` as an array (N,) with one entry per row of the features, or raise."""
    labels = np.asarray(labels)
    if labels.shape != (rows,):
        raise UserError(
            f"{what} must hold one class per row of the features, shape ({rows},). Received: shape "
            f"{labels.shape}. Order the labels by the index that came with the features."
        )
    return labels


def check_classes(train_y: np.ndarray, test_y: np.ndarray, what: str) -> None:
    """Raise unless training has at least two classes and every class of the test."""
    known = np.unique(train_y)
    if known.size < 2:
        raise UserError(
            f"{what} must have at least two classes in train. Received: {known.tolist()} alone. "
            "A label that never changes cannot be probed: leave it out."
        )
    missing = np.setdiff1d(test_y, known)
    if missing.size:
        raise UserError(
            f"{what}: every class of test must occur in train. Received: {missing.tolist()} in "
            f"test only; train has {known.tolist()}. Split so that both hold each class."
        )


def check_columns(labels: np.ndarray, classes: ArrayLike, what: str) -> np.ndarray:
    """Return the position in `classes` of each label, int64 (N,), or raise for one not there."""
    classes = np.asarray(classes)
    order = np.argsort(classes, kind="stable")
    if classes.ndim != 1 or (classes[order][1:] == classes[order][:-1]).any():
        raise UserError(
            f"classes must name each class once, in the order of the columns. Received: {classes}."
        )
    unknown = np.setdiff1d(labels, classes)
    if unknown.size:
        raise UserError(
            f"{what} must hold only what classes names. Received: {unknown.tolist()[:5]} besides; "
            f"classes has {len(classes)} entries. Give the classes of both splits."
        )
    return order[np.searchsorted(classes, labels, sorter=order)]


def check_split(
    train_x: ArrayLike, train_y: ArrayLike, test_x: ArrayLike, test_y: ArrayLike | None = None
) -> tuple[np.ndarray | None, ...]:
    """Return the four arrays of a probe, checked one by one and against each other.

    Without `test_y`, only that train has two classes is known of the classes.
    """
    train_x = check_features(train_x, "train_x")
    test_x = check_features(test_x, "test_x")
    check_widths(train_x, test_x, "train_x and test_x")
    train_y = check_labels(train_y, len(train_x), "train_y")
    if test_y is not None:
        test_y = check_labels(test_y, len(test_x), "test_y")
    check_classes(train_y, train_y if test_y is None else test_y, "labels")
    return train_x, train_y, test_x, test_y
