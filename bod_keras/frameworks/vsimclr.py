"""v-SimCLR: InfoNCE between two clips of a video, negatives from the batch."""

from __future__ import annotations

import math
from typing import Any

import keras

from bod_keras.decoupling import Decoupling
from bod_keras.frameworks._pairs import adjacent_pairs, mean_over
from bod_keras.frameworks.base import FRAMEWORKS, ContrastiveModel
from bod_keras.losses.info_nce import InfoNCE


@FRAMEWORKS.register("vsimclr")
@keras.saving.register_keras_serializable("bod_keras")
class VSimCLR(ContrastiveModel):
    """v-SimCLR, plain or decoupled: every part is contrasted by `InfoNCE` in both directions.

    Of rho > 2 views, each is contrasted with the next one, as rho-SimCLR does.

    Args:
        encoder, decoupling, projection_head, augmenter, **kwargs: as in `ContrastiveModel`.
        temperature: of the loss, where `Decoupling` does not set that of a part.

    Example:
        >>> import keras, numpy as np, bod_keras
        >>> encoder = bod_keras.encoders.FrameCNN(input_shape=(4, 16, 16, 3), widths=(4, 8))
        >>> model = bod_keras.VSimCLR(encoder, decoupling=True)
        >>> model.compile(keras.optimizers.Adam(1e-3))
        >>> views = np.random.default_rng(0).random((8, 2, 4, 16, 16, 3), "float32")
        >>> history = model.fit(views, batch_size=8, verbose=0)

    Reference:
        Feichtenhofer et al., "A Large-Scale Study on Unsupervised Spatiotemporal Representation Learning",
        arXiv 2104.14558; decoupled: arXiv 2407.14069.
    """

    compares_with_negatives = True

    def __init__(
        self,
        encoder: keras.Model,
        decoupling: Decoupling | str | bool | None = None,
        projection_head: keras.layers.Layer | None = None,
        augmenter: keras.layers.Layer | None = None,
        temperature: float = 0.1,
        **kwargs,
    ):
        super().__init__(encoder, decoupling, projection_head, augmenter, **kwargs)
        self.temperature = temperature
        self.set_losses(lambda part: InfoNCE(self.temperature_of(part), gathered=True))

    def chance_loss(self, part: str, videos: int) -> float:
        return math.log(2 * videos - 1)

    def part_loss(self, part: str, views: list, targets: Any, training: bool) -> Any:
        contrast = self.contrast[part]
        return mean_over(adjacent_pairs(len(views)), lambda i, j: contrast(views[i], views[j]))
