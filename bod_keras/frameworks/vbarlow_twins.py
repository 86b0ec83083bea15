"""v-Barlow Twins: dimensions that agree between clips and not among themselves."""

from __future__ import annotations

from typing import Any

import keras

from bod_keras.decoupling import Decoupling
from bod_keras.frameworks._pairs import all_pairs, mean_over
from bod_keras.frameworks.base import FRAMEWORKS, ContrastiveModel
from bod_keras.losses.barlow_twins import BarlowTwins


@FRAMEWORKS.register("vbarlow_twins")
@keras.saving.register_keras_serializable("bod_keras")
class VBarlowTwins(ContrastiveModel):
    """v-Barlow Twins, plain or decoupled: every part's cross-correlation is brought to the identity.

    Of more than two views all pairs are compared; none is published. The loss is of batch statistics: those of
    all replicas' clips.

    Args:
        encoder, decoupling, projection_head, augmenter, **kwargs: as in `ContrastiveModel`.
        off_diagonal: weight of the redundancy, as in `BarlowTwins`.

    Example:
        >>> import keras, numpy as np, bod_keras
        >>> encoder = bod_keras.encoders.FrameCNN(input_shape=(4, 16, 16, 3), widths=(4, 8))
        >>> model = bod_keras.VBarlowTwins(encoder, decoupling=True)
        >>> model.compile(keras.optimizers.Adam(1e-3))
        >>> views = np.random.default_rng(0).random((8, 2, 4, 16, 16, 3), "float32")
        >>> history = model.fit(views, batch_size=8, verbose=0)

    Reference:
        Zbontar et al., arXiv 2103.03230.
    """

    uses_batch_statistics = True

    def __init__(
        self,
        encoder: keras.Model,
        decoupling: Decoupling | str | bool | None = None,
        projection_head: keras.layers.Layer | None = None,
        augmenter: keras.layers.Layer | None = None,
        off_diagonal: float = 5e-3,
        **kwargs,
    ):
        super().__init__(encoder, decoupling, projection_head, augmenter, **kwargs)
        self.off_diagonal = off_diagonal
        self.set_losses(lambda part: BarlowTwins(off_diagonal))

    def part_loss(self, part: str, views: list, targets: Any, training: bool) -> Any:
        contrast = self.contrast[part]
        return mean_over(all_pairs(len(views)), lambda i, j: contrast(views[i], views[j]))
