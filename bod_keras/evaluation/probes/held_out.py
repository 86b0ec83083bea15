"""The choice of a probe's settings on a part of the training videos."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

import numpy as np

_SHARE = 0.25
_Choice = TypeVar("_Choice")


def held_out_mask(labels: np.ndarray, seed: int) -> np.ndarray:
    """Mark a quarter of each class, at least one sample, never a class's only one: booleans (N,)."""
    rng = np.random.default_rng(seed)
    mask = np.zeros(len(labels), dtype=bool)
    for label in np.unique(labels):
        members = rng.permutation(np.flatnonzero(labels == label))
        if len(members) > 1:
            mask[members[: max(1, int(_SHARE * len(members)))]] = True
    return mask


def choose(
    choices: Sequence[_Choice],
    usual: _Choice,
    answers: Callable[[_Choice, np.ndarray, np.ndarray, np.ndarray], np.ndarray],
    x: np.ndarray,
    y: np.ndarray,
    seed: int,
) -> _Choice:
    """Return the choice that answers best on the held-out quarter, of equal ones the first.

    `usual` is returned if no class has two samples. `answers(choice, train_x, train_y, test_x)` are classes.
    """
    held_out = held_out_mask(y, seed)
    if not held_out.any() or len(choices) < 2:
        return usual
    accuracies = [
        np.mean(answers(choice, x[~held_out], y[~held_out], x[held_out]) == y[held_out])
        for choice in choices
    ]
    return choices[int(np.argmax(accuracies))]
