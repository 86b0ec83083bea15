"""Does the appearance of one clip with the motion of another find the clip that has both?"""

import numpy as np


def swap_retrieval(static, dynamic, looks, motions, pairs=1000, seed=0):
    """Share of pairs (A, B) for which the best clip has A's looks and B's motion.

    Clips are ranked by ``cos(s, s_A) + cos(d, d_B)``, A and B left out; each number of a part is
    standardized first. A and B differ in looks and in motion, so that the wanted clip is neither.

    Args:
        static, dynamic: parts (N, D), (N, K).
        looks, motions: classes (N,). Each look occurs with each motion.
        pairs: how many are drawn.
        seed: of the draw.
    """
    rng = np.random.default_rng(seed)
    similar = [standard @ standard.T for standard in map(_directions, (static, dynamic))]
    right = []
    while len(right) < pairs:
        a, b = rng.integers(len(looks), size=2)
        if looks[a] == looks[b] or motions[a] == motions[b]:
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
