"""A few labeled samples of each class."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from bod_keras.errors import UserError


def low_shot(
    labels: ArrayLike, per_class: int | None = None, share: float | None = None, seed: int = 0
) -> np.ndarray:
    """Draw a part of each class: a number of samples, or a share of them.

    Of the n_c samples of class c, `per_class` are drawn, or max(1, floor(share n_c + 1/2)). Fewer
    samples of one seed are a part of more: the draw of 1 a class lies within that of 5.

    Args:
        labels: classes (N,), integers or strings.
        per_class: samples of each class, at least 1.
        share: share of each class, in (0, 1]. Exactly one of both must be given.
        seed: of the draw.

    Returns:
        The numbers of the drawn samples, sorted, int64.

    Raises:
        ValueError: if neither or both are given or out of range, there are no labels, or a class
            has fewer samples than `per_class`.

    Example:
        >>> import numpy as np
        >>> from bod_keras.evaluation import low_shot
        >>> labels = np.array([0, 1, 0, 1, 0, 1])
        >>> labels[low_shot(labels, per_class=2)].tolist().count(1)
        2
    """
    labels = np.asarray(labels)
    if labels.ndim != 1 or labels.size == 0:
        raise UserError(
            f"labels must hold one class per sample, shape (N,). Received: shape {labels.shape}."
        )
    if (per_class is None) == (share is None):
        raise UserError(
            "Give one of per_class (samples of each class) and share (of each class). Received: "
            f"per_class={per_class}, share={share}."
        )
    if per_class is not None and per_class < 1:
        raise UserError(f"per_class must be at least 1. Received: {per_class}.")
    if share is not None and not 0 < share <= 1:
        raise UserError(f"share must lie in (0, 1]. Received: {share}. Ten per cent are share=0.1.")
    classes, counts = np.unique(labels, return_counts=True)
    if per_class is not None and counts.min() < per_class:
        small = {str(c): int(n) for c, n in zip(classes, counts) if n < per_class}
        raise UserError(
            f"Every class needs at least per_class={per_class} samples. Received: classes with "
            f"fewer: {dict(list(small.items())[:5])}{' ...' if len(small) > 5 else ''}. Lower "
            "per_class, or leave these classes out of both splits."
        )
    rng = np.random.default_rng(seed)
    chosen = []
    for label, count in zip(classes, counts):
        wanted = per_class if share is None else max(1, int(share * count + 0.5))
        chosen.append(rng.permutation(np.flatnonzero(labels == label))[:wanted])
    return np.sort(np.concatenate(chosen))
