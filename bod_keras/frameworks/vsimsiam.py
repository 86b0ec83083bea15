"""v-SimSiam: predict another clip's own embedding, without its gradient; no negatives, no momentum."""

from __future__ import annotations

from typing import Any

import keras

from bod_keras.decoupling import Decoupling
from bod_keras.frameworks._pairs import mean_over, ordered_pairs
from bod_keras.frameworks.base import FRAMEWORKS, ContrastiveModel
from bod_keras.frameworks.projection_head import part_networks
from bod_keras.losses.cosine_regression import CosineRegression


@FRAMEWORKS.register("vsimsiam")
@keras.saving.register_keras_serializable("bod_keras")
class VSimSiam(ContrastiveModel):
    """v-SimSiam, plain or decoupled: every part has a predictor and is fitted by `CosineRegression`.

    Each view predicts every other one, whose gradient is stopped. There is no published pairing of more than
    two views; this is that of rho-BYOL.

    Args:
        encoder, decoupling, projection_head, augmenter, **kwargs: as in `ContrastiveModel`.
        predictor_hidden: hidden width of each part's predictor, a `ProjectionHead` from the part's width to
            the same; a bottleneck of a quarter of the width in SimSiam.

    Example:
        >>> import keras, numpy as np, bod_keras
        >>> encoder = bod_keras.encoders.FrameCNN(input_shape=(4, 16, 16, 3), widths=(4, 8))
        >>> model = bod_keras.VSimSiam(encoder, decoupling=True, predictor_hidden=32)
        >>> model.compile(keras.optimizers.SGD(0.05, momentum=0.9))
        >>> views = np.random.default_rng(0).random((8, 2, 4, 16, 16, 3), "float32")
        >>> history = model.fit(views, batch_size=8, verbose=0)

    Reference:
        Chen and He, "Exploring Simple Siamese Representation Learning", arXiv 2011.10566.
    """

    def __init__(
        self,
        encoder: keras.Model,
        decoupling: Decoupling | str | bool | None = None,
        projection_head: keras.layers.Layer | None = None,
        augmenter: keras.layers.Layer | None = None,
        predictor_hidden: int = 64,
        **kwargs,
    ):
        super().__init__(encoder, decoupling, projection_head, augmenter, **kwargs)
        self.predictor_hidden = predictor_hidden
        self.set_losses(lambda part: CosineRegression())
        self.predictors = part_networks(self.parts, predictor_hidden, "predictor")

    def part_loss(self, part: str, views: list, targets: Any, training: bool) -> Any:
        predicted = [self.predictors[part](view, training=training) for view in views]
        return mean_over(
            ordered_pairs(len(views)),
            lambda query, key: self.contrast[part](
                views[key], predicted[query]
            ),  # stops its gradient
        )
