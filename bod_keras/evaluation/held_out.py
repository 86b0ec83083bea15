"""The part of the training videos on which a probe chooses its settings."""

import numpy as np

_SHARE = 0.25


def held_out_mask(labels: np.ndarray, seed: int) -> np.ndarray:
    """Mark a quarter of each class, at least one sample, never a class's only one.

    Args:
        labels: classes (N,).
        seed: of the draw.

    Returns:
        Booleans (N,).

    Example:
        >>> import numpy as np
        >>> from bod_keras.evaluation.held_out import held_out_mask
        >>> held_out_mask(np.array([0, 0, 0, 0, 1]), seed=0).sum().item()
        1
    """
    rng = np.random.default_rng(seed)
    mask = np.zeros(len(labels), dtype=bool)
    for label in np.unique(labels):
        members = rng.permutation(np.flatnonzero(labels == label))
        if len(members) > 1:
            mask[members[: max(1, int(_SHARE * len(members)))]] = True
    return mask
