"""Modularity, compactness and explicitness of parts: does each hold some factors and no others?"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import ArrayLike

from bod_keras.errors import UserError


def dci(
    parts: Mapping[str, ArrayLike],
    factors: Mapping[str, ArrayLike],
    trees: int = 20,
    seed: int = 0,
) -> dict[str, float]:
    """Return the three scores of DCI, with a whole part where DCI has a single number.

    A gradient-boosted classifier of each factor f reads all parts side by side. Its importances, summed over
    the numbers of a part j, are R[j, f]. With p_f = R[j, f] / sum_f R[j, f] and p_j = R[j, f] / sum_j R[j, f]

        modularity   = sum_j w_j (1 + sum_f p_f log_F p_f),   w_j = sum_f R[j, f] / sum R
        compactness  = mean_f (1 + sum_j p_j log_D p_j)
        explicitness = mean over the factors, training and test of the classifiers' accuracy

    with F factors and D parts. Several factors may belong to one part here, so that modularity stays below 1
    for parts that are perfectly apart: with 4 factors of looks, one of motion and R = 1 it is 0.311.

    Args:
        parts: arrays (N, K_j) by name, at least two.
        factors: classes (N,) by name, at least two. Four fifths of the clips are for training.
        trees: rounds of boosting, of depth 3.
        seed: of the division and the classifiers.

    Returns:
        A dict of the three scores; they lie in [0, 1].

    Raises:
        UserError: fewer than two parts or factors, lengths that differ, fewer than 5 clips, or one class.

    Example:
        >>> import numpy as np
        >>> from bod_keras.evaluation import dci
        >>> looks, motion = np.arange(200) % 2, np.arange(200) // 2 % 2
        >>> parts = {"static": np.eye(2)[looks], "dynamic": np.eye(2)[motion]}
        >>> {k: round(v, 2) for k, v in dci(parts, {"looks": looks, "motion": motion}).items()}
        {'modularity': 1.0, 'compactness': 1.0, 'explicitness': 1.0}

    Reference:
        Eastwood and Williams, "A Framework for the Quantitative Evaluation of Disentangled Representations",
        ICLR 2018.
    """
    from sklearn.ensemble import GradientBoostingClassifier

    lengths = {name: len(x) for name, x in [*parts.items(), *factors.items()]}
    if min(len(parts), len(factors)) < 2 or len(set(lengths.values())) > 1:
        raise UserError(
            "dci compares at least two parts and two factors of the same clips. Received: parts "
            f"{list(parts)}, factors {list(factors)}, lengths {lengths}"
        )
    x = np.concatenate([np.asarray(part, "float32") for part in parts.values()], axis=1)
    ends = np.cumsum([np.shape(part)[1] for part in parts.values()])[:-1]
    order = np.random.default_rng(seed).permutation(len(x))
    test, train = np.split(order, [len(x) // 5])
    importance, accuracies = [], []
    for name, labels in factors.items():
        labels = np.asarray(labels)
        if not len(test) or len(set(labels[train].tolist())) < 2:
            raise UserError(
                "dci learns from four fifths of the clips, and needs at least 5 clips and two classes there. "
                f"Received: {len(x)} clips, {name!r} with {len(set(labels.tolist()))} class(es)"
            )
        trained = GradientBoostingClassifier(n_estimators=trees, max_depth=3, random_state=seed)
        trained.fit(x[train], labels[train])
        shares = np.split(trained.feature_importances_, ends)
        importance.append([share.sum() for share in shares])
        accuracies += [trained.score(x[rows], labels[rows]) for rows in (train, test)]
    matrix = np.transpose(importance)
    return {
        "modularity": float(
            np.sum(_purity(matrix, 1) * matrix.sum(axis=1)) / (matrix.sum() or 1.0)
        ),
        "compactness": float(np.mean(_purity(matrix, 0))),
        "explicitness": float(np.mean(accuracies)),
    }


def _purity(matrix, axis):
    """One minus the entropy of the shares along an axis, in units of its largest."""
    total = matrix.sum(axis=axis, keepdims=True)
    p = np.divide(
        matrix, total, out=np.full_like(matrix, 1.0 / matrix.shape[axis]), where=total > 0
    )
    logs = np.log(p, out=np.zeros_like(p), where=p > 0)
    return 1.0 + np.sum(p * logs, axis=axis) / np.log(matrix.shape[axis])
