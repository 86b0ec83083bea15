"""How much of a clip's embeddings the static and the dynamic part account for."""

import numpy as np
from keras import ops

from bod_keras.koopman import linalg

_TINY = 1e-12  # of a clip whose embeddings are all zero


def part_energy(layer, embeddings) -> dict[str, np.ndarray]:
    """Returns the shares of the energy of a clip's predicted frames that its two parts have.

    The operator predicts the frames X A = X A_S + X A_D (see `KoopmanSplit`). With E_S and E_D the sums of
    squares of the two terms,

        static = E_S / (E_S + E_D),   dynamic = E_D / (E_S + E_D),   overlap = 2 <X A_S, X A_D> / (E_S + E_D).

    The projector is oblique, so the terms need not be orthogonal: overlap, in [-1, 1], says how far they are
    from it, and the energy of X A is (1 + overlap) (E_S + E_D). With `halves` each half of the embedding has
    its own operator: then static is the share in the first half, dynamic that in the second, and they need not
    sum to 1; overlap is the mean over both.

    Args:
        layer: a built `KoopmanSplit`.
        embeddings: (B, T, D).

    Returns:
        "static", "dynamic" and "overlap", float32 (B,) each; of embeddings that are zero, 0.

    Example:

    >>> import bod_keras
    >>> angle = np.arange(8) * 0.7  # a constant, and a rotation of half its length
    >>> clip = np.stack([np.ones(8), 0.5 * np.cos(angle), 0.5 * np.sin(angle)], axis=1)[None]
    >>> layer = bod_keras.KoopmanSplit(threshold=0.1, ridge=1e-6)
    >>> layer.build(clip.shape)
    >>> {name: round(float(share[0]), 2) + 0.0 for name, share in part_energy(layer, clip).items()}
    {'static': 0.8, 'dynamic': 0.2, 'overlap': 0.0}
    """
    embeddings = ops.convert_to_tensor(embeddings, dtype="float32")
    shares, overlaps = [], []
    for block, split in layer.block_splits(embeddings):
        static, dynamic = _predicted(layer, block, split)
        energies = [ops.sum(ops.square(frames), axis=(1, 2)) for frames in (static, dynamic)]
        total = ops.maximum(energies[0] + energies[1], _TINY)
        shares.append([energy / total for energy in energies])
        overlaps.append(2 * ops.sum(static * dynamic, axis=(1, 2)) / total)
    found = {
        "static": shares[0][0],
        "dynamic": shares[-1][1],
        "overlap": sum(overlaps) / len(overlaps),
    }
    return {name: ops.convert_to_numpy(values) for name, values in found.items()}


def _predicted(layer, block, split):
    """The frames X A_S and X A_D that a split predicts, (B, T-1, D) each."""
    past, future = linalg.transitions(block, layer.normalize)
    if layer.operator == "batch":
        predicted = ops.matmul(past, split.matrix)
        static = ops.matmul(predicted, split.projector)
        return static, predicted - static
    static_future = ops.matmul(split.projector, future)
    products = ops.matmul(past, ops.swapaxes(past, -1, -2))
    gram = linalg.regularised_gram(past, layer.ridge)
    return tuple(
        ops.matmul(products, linalg.solve(gram, frames))
        for frames in (static_future, future - static_future)
    )
