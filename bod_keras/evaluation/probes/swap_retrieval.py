"""Does the appearance of one clip with the motion of another find the clip that has both?"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from bod_keras.errors import UserError


def swap_retrieval(
    static: ArrayLike,
    dynamic: ArrayLike,
    looks: ArrayLike,
    motions: ArrayLike,
    pairs: int = 1000,
    seed: int = 0,
) -> float:
    """Return the share of pairs (A, B) for which the best clip has A's looks and B's motion.

    Clips are ranked by ``cos(s, s_A) + cos(d, d_B)``, A and B left out; each number of a part is standardized
    first. A and B differ in looks and in motion, and some other clip has what is wanted.

    Args:
        static, dynamic: parts (N, D), (N, K).
        looks, motions: classes (N,).
        pairs: how many are drawn.
        seed: of the draw.

    Raises:
        UserError: no pair has a clip with the looks of one and the motion of the other.

    Example:
        >>> import numpy as np
        >>> from bod_keras.evaluation import swap_retrieval
        >>> looks, motions = np.arange(12) % 3, np.arange(12) // 3
        >>> swap_retrieval(np.eye(3)[looks], np.eye(4)[motions], looks, motions, pairs=50)
        1.0
    """
    looks = np.unique(looks, return_inverse=True)[1].ravel()
    motions = np.unique(motions, return_inverse=True)[1].ravel()
    there = np.zeros((looks.max() + 1, motions.max() + 1), bool)
    there[looks, motions] = True
    # Some B of another look and motion for which a clip has A's look and B's motion.
    usable = [
        bool((there[looks[a]][motions] & (looks != looks[a]) & (motions != motions[a])).any())
        for a in range(len(looks))
    ]
    if not any(usable):
        raise UserError(
            "swap_retrieval needs clips that share their looks and others that share their motion: no clip has "
            "the looks of one and the motion of another. Received: "
            f"{there.shape[0]} looks, {there.shape[1]} motions, {int(there.sum())} combinations of them."
        )
    rng = np.random.default_rng(seed)
    similar = [standard @ standard.T for standard in map(_directions, (static, dynamic))]
    right = []
    while len(right) < pairs:
        a, b = rng.integers(len(looks), size=2)
        if looks[a] == looks[b] or motions[a] == motions[b] or not there[looks[a], motions[b]]:
            continue
        scores = similar[0][a] + similar[1][b]
        scores[[a, b]] = -np.inf
        best = scores.argmax()
        right.append(looks[best] == looks[a] and motions[best] == motions[b])
    return float(np.mean(right))


def _directions(part):
    part = np.asarray(part, "float64")
    part = (part - part.mean(axis=0)) / np.maximum(part.std(axis=0), 1e-12)
    return part / np.maximum(np.linalg.norm(part, axis=1, keepdims=True), 1e-12)
