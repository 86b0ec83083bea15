"""v-BYOL: predict the momentum network's embedding of another clip; no negatives."""

from __future__ import annotations

from typing import Any

import keras

from bod_keras.decoupling import Decoupling
from bod_keras.frameworks._pairs import mean_over, ordered_pairs
from bod_keras.frameworks.base import FRAMEWORKS
from bod_keras.frameworks.momentum import MomentumModel
from bod_keras.frameworks.projection_head import part_networks
from bod_keras.losses.cosine_regression import CosineRegression


@FRAMEWORKS.register("vbyol")
@keras.saving.register_keras_serializable("bod_keras")
class VBYOL(MomentumModel):
    """v-BYOL, plain or decoupled: every part has a predictor and is fitted by `CosineRegression`.

    Each view predicts the momentum network's part of every other view, as in rho-BYOL: symmetric for two.

    Args:
        encoder, decoupling, projection_head, augmenter, **kwargs: as in `ContrastiveModel`.
        predictor_hidden: hidden width of each part's predictor, a `ProjectionHead` from the part's width to
            the same; 4096 in rho-BYOL.
        momentum, momentum_steps: as in `MomentumModel`.

    Example:
        >>> import keras, numpy as np, bod_keras
        >>> encoder = bod_keras.encoders.FrameCNN(input_shape=(4, 16, 16, 3), widths=(4, 8))
        >>> model = bod_keras.VBYOL(encoder, decoupling=True, predictor_hidden=64)
        >>> model.compile(keras.optimizers.Adam(1e-3))
        >>> views = np.random.default_rng(0).random((8, 2, 4, 16, 16, 3), "float32")
        >>> history = model.fit(views, batch_size=8, verbose=0)

    Reference:
        Feichtenhofer et al., arXiv 2104.14558 (rho-BYOL); Grill et al., arXiv 2006.07733.
    """

    def __init__(
        self,
        encoder: keras.Model,
        decoupling: Decoupling | str | bool | None = None,
        projection_head: keras.layers.Layer | None = None,
        augmenter: keras.layers.Layer | None = None,
        predictor_hidden: int = 256,
        momentum: float = 0.996,
        momentum_steps: int | None = None,
        **kwargs,
    ):
        super().__init__(
            encoder, decoupling, projection_head, augmenter, momentum, momentum_steps, **kwargs
        )
        self.predictor_hidden = predictor_hidden
        self.set_losses(lambda part: CosineRegression())
        self.predictors = part_networks(self.parts, predictor_hidden, "predictor")

    def part_loss(self, part: str, views: list, targets: Any, training: bool) -> Any:
        predicted = [self.predictors[part](view, training=training) for view in views]
        return mean_over(
            ordered_pairs(len(views)),
            lambda query, key: self.contrast[part](targets[key], predicted[query]),
        )
