"""What a classifier got right: accuracies, each class, and what was taken for what."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike

from bod_keras.errors import UserError
from bod_keras.evaluation.pictures.confusion_plot import plot_confusion
from bod_keras.evaluation.tables import write_csv
from bod_keras.feature_checks import check_features


def classification_scores(scores: ArrayLike, labels: ArrayLike, class_names: Sequence[str]) -> dict:
    """Return the accuracies of a classifier's scores, of each class too, and the confusion matrix.

    The answer is the class with the largest score; of equal scores the smaller class comes first.

        top1       = share of samples whose class has the largest score
        top5       = share of samples whose class has one of the five largest scores
        mean_class = mean of the classes' own top1, over the classes that occur

    Args:
        scores: (M, C), larger is likelier: logits, probabilities or votes.
        labels: classes (M,), integers 0 to C - 1, the columns of `scores`.
        class_names: the C names of the columns.

    Returns:
        A dict of `"top1"`, `"top5"` (None of five classes or fewer, where it says nothing) and
        `"mean_class"`, shares in [0, 1]; `"per_class"`, a list of dicts in the order of the
        columns with `"class"`, `"videos"`, `"top1"`, `"top5"`, `"precision"` (the share of the
        answers for this class that are right; None where there is nothing to divide by, as
        `"top1"`), `"taken_for"` (the most frequent wrong answer, "" if there is none) and `"times"`
        (how often); and `"confusion"`, int64 (C, C), whose entry (i, j) counts samples of class i
        that were taken for class j.

    Raises:
        ValueError: if shapes disagree, scores are not finite, or labels are no columns.

    Example:
        >>> from bod_keras.evaluation import classification_scores
        >>> result = classification_scores([[0.9, 0.1], [0.8, 0.2], [0.3, 0.7]], [0, 1, 1], ["run", "jump"])
        >>> round(result["top1"], 3), result["mean_class"], result["per_class"][1]["taken_for"]
        (0.667, 0.75, 'run')
    """
    scores = check_features(scores, "scores")
    labels = np.asarray(labels)
    samples, classes = scores.shape
    if len(class_names) != classes:
        raise UserError(
            f"class_names must name the {classes} columns of scores. Received: {len(class_names)} names."
        )
    if labels.shape != (samples,) or not np.issubdtype(labels.dtype, np.integer):
        raise UserError(
            f"labels must be integers of shape ({samples},). Received: {labels.dtype} of shape "
            f"{labels.shape}."
        )
    if labels.min() < 0 or labels.max() >= classes:
        raise UserError(
            f"labels must be columns of scores, 0 to {classes - 1}. Received: {labels.min()} to "
            f"{labels.max()}. Give the position of each class in class_names."
        )
    ranked = np.argsort(-scores, axis=1, kind="stable")
    answers = ranked[:, 0]
    in_five = (ranked[:, :5] == labels[:, None]).any(axis=1) if classes > 5 else None
    confusion = np.zeros((classes, classes), np.int64)
    np.add.at(confusion, (labels, answers), 1)
    per_class = []
    for number, name in enumerate(class_names):
        members, wrong = labels == number, confusion[number].copy()
        wrong[number] = 0
        per_class.append(
            {
                "class": str(name),
                "videos": int(members.sum()),
                "top1": _mean(answers[members] == number),
                "top5": None if in_five is None else _mean(in_five[members]),
                "precision": _mean(labels[answers == number] == number),
                "taken_for": str(class_names[wrong.argmax()]) if wrong.any() else "",
                "times": int(wrong.max()),
            }
        )
    return {
        "top1": float(np.mean(answers == labels)),
        "top5": None if in_five is None else float(in_five.mean()),
        "mean_class": float(np.mean([c["top1"] for c in per_class if c["videos"]])),
        "per_class": per_class,
        "confusion": confusion,
    }


def write_classification(results: Mapping, folder: str | os.PathLike) -> list[Path]:
    """Write the tables of `classification_scores` into a folder.

    `per_class.csv` has a row a class; `confusion.csv` a row a true class and a column an answer,
    counts; `confusion.png` the same as a picture, each row divided by its sum.

    Args:
        results: what `classification_scores` returned.
        folder: where to; it is made if it is missing.

    Returns:
        The paths of the three files.

    Example:
        >>> from bod_keras.evaluation import classification_scores, write_classification
        >>> import tempfile
        >>> results = classification_scores([[0.9, 0.1], [0.3, 0.7]], [0, 1], ["run", "jump"])
        >>> [path.name for path in write_classification(results, tempfile.mkdtemp())]
        ['per_class.csv', 'confusion.csv', 'confusion.png']
    """
    per_class, confusion = results["per_class"], results["confusion"]
    names = [row["class"] for row in per_class]
    paths = [Path(folder, name) for name in ("per_class.csv", "confusion.csv", "confusion.png")]
    write_csv(paths[0], [list(per_class[0]), *(row.values() for row in per_class)])
    rows = ([name, *row] for name, row in zip(names, confusion.tolist()))
    write_csv(paths[1], [["class", *names], *rows])
    plot_confusion(confusion, names, paths[2])
    return paths


def chance(labels: ArrayLike) -> float:
    """Return the accuracy of the best constant answer."""
    counts = np.unique(labels, return_counts=True)[1]
    return float(counts.max() / counts.sum())


def _mean(values: np.ndarray) -> float | None:
    return float(values.mean()) if values.size else None
