"""v-VICReg: clips pulled together while every dimension keeps its variance and no two covary."""

from __future__ import annotations

from typing import Any

import keras

from bod_keras.decoupling import Decoupling
from bod_keras.frameworks._pairs import all_pairs, mean_over
from bod_keras.frameworks.base import FRAMEWORKS, ContrastiveModel
from bod_keras.frameworks.projection_head import part_networks
from bod_keras.losses.vicreg import VICReg


@FRAMEWORKS.register("vvicreg")
@keras.saving.register_keras_serializable("bod_keras")
class VVICReg(ContrastiveModel):
    """v-VICReg, plain or decoupled: every part has an expander and is regularized by `VICReg`.

    The expander gives each part a scale of its own: what a `KoopmanSplit` makes of normalized frames has not
    the room for a standard deviation of 1. Of more than two views all pairs are compared; none is published.
    The loss is of batch statistics: those of all replicas' clips.

    Args:
        encoder, decoupling, projection_head, augmenter, **kwargs: as in `ContrastiveModel`.
        invariance, variance, covariance: weights of the terms, as in `VICReg`.
        expander_hidden, expander_width: widths of each part's expander, a `ProjectionHead`; 8192 in VICReg.

    Example:
        >>> import keras, numpy as np, bod_keras
        >>> encoder = bod_keras.encoders.FrameCNN(input_shape=(4, 16, 16, 3), widths=(4, 8))
        >>> model = bod_keras.VVICReg(encoder, decoupling=True, expander_hidden=64)
        >>> model.compile(keras.optimizers.Adam(1e-3))
        >>> views = np.random.default_rng(0).random((8, 2, 4, 16, 16, 3), "float32")
        >>> history = model.fit(views, batch_size=8, verbose=0)

    Reference:
        Bardes et al., arXiv 2105.04906.
    """

    uses_batch_statistics = True

    def __init__(
        self,
        encoder: keras.Model,
        decoupling: Decoupling | str | bool | None = None,
        projection_head: keras.layers.Layer | None = None,
        augmenter: keras.layers.Layer | None = None,
        invariance: float = 25.0,
        variance: float = 25.0,
        covariance: float = 1.0,
        expander_hidden: int = 256,
        expander_width: int = 256,
        **kwargs,
    ):
        super().__init__(encoder, decoupling, projection_head, augmenter, **kwargs)
        self.invariance = invariance
        self.variance = variance
        self.covariance = covariance
        self.expander_hidden = expander_hidden
        self.expander_width = expander_width
        self.set_losses(lambda part: VICReg(invariance, variance, covariance))
        self.expanders = part_networks(self.parts, expander_hidden, "expander", expander_width)

    def part_loss(self, part: str, views: list, targets: Any, training: bool) -> Any:
        wide = [self.expanders[part](view, training=training) for view in views]
        return mean_over(all_pairs(len(views)), lambda i, j: self.contrast[part](wide[i], wide[j]))
