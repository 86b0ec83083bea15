"""How much of a clip's embeddings the static and the dynamic part account for."""

from __future__ import annotations

import numpy as np
from keras import ops
from numpy.typing import ArrayLike

from bod_keras.koopman import KoopmanSplit, linalg

_TINY = 1e-12  # of a clip whose embeddings are all zero


def part_energy(layer: KoopmanSplit, embeddings: ArrayLike) -> dict[str, np.ndarray]:
    """Return the share of each part in the energy of a clip's predicted frames.

    The operator predicts the frames X A = X A_S + X A_D (see `KoopmanSplit`). With E_S and E_D the sums of
    squares of the two terms,

        static = E_S / (E_S + E_D),   dynamic = E_D / (E_S + E_D),   overlap = 2 <X A_S, X A_D> / (E_S + E_D).

    The projector is oblique, so the terms need not be orthogonal: overlap, in [-1, 1], says how far they are
    from it, and the energy of X A is (1 + overlap) (E_S + E_D).

    Args:
        layer: a built `KoopmanSplit`.
        embeddings: (B, T, D).

    Returns:
        "static", "dynamic" and "overlap", float32 (B,) each; of embeddings that are zero, 0.

    Example:
        >>> import bod_keras
        >>> import numpy as np
        >>> from bod_keras.evaluation import part_energy
        >>> angle = np.arange(8) * 0.7  # a constant, and a rotation of half its length
        >>> clip = np.stack([np.ones(8), 0.5 * np.cos(angle), 0.5 * np.sin(angle)], axis=1)[None]
        >>> layer = bod_keras.KoopmanSplit(threshold=0.1, ridge=1e-6)
        >>> layer.build(clip.shape)
        >>> {name: round(float(share[0]), 2) + 0.0 for name, share in part_energy(layer, clip).items()}
        {'static': 0.8, 'dynamic': 0.2, 'overlap': 0.0}
    """
    embeddings = ops.convert_to_tensor(embeddings, dtype="float32")
    projector = layer.split(embeddings).projector
    past, future = linalg.transitions(embeddings)
    static_future = ops.matmul(projector, future)
    products = ops.matmul(past, linalg.pseudo_inverse(past, layer.ridge))
    static, dynamic = (
        ops.matmul(products, frames) for frames in (static_future, future - static_future)
    )
    energies = [ops.sum(ops.square(frames), axis=(1, 2)) for frames in (static, dynamic)]
    total = ops.maximum(energies[0] + energies[1], _TINY)
    found = {
        "static": energies[0] / total,
        "dynamic": energies[1] / total,
        "overlap": 2 * ops.sum(static * dynamic, axis=(1, 2)) / total,
    }
    return {name: ops.convert_to_numpy(values) for name, values in found.items()}
