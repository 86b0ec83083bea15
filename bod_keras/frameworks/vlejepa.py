"""v-LeJEPA: clips pulled together while their embeddings stay standard normal."""

from __future__ import annotations

from typing import Any

import keras

from bod_keras.decoupling import Decoupling
from bod_keras.frameworks._pairs import all_pairs, mean_over
from bod_keras.frameworks.base import FRAMEWORKS, ContrastiveModel
from bod_keras.frameworks.projection_head import part_networks
from bod_keras.losses.lejepa import LeJEPA


@FRAMEWORKS.register("vlejepa")
@keras.saving.register_keras_serializable("bod_keras")
class VLeJEPA(ContrastiveModel):
    """v-LeJEPA, plain or decoupled: every part has an expander and the loss `LeJEPA`.

    No negatives, no queue, no momentum network, and one number to choose. The expander gives each part the room
    for a standard deviation of 1. Of more than two views all pairs are compared. The loss is of batch
    statistics: those of all replicas' clips.

    Args:
        encoder, decoupling, projection_head, augmenter, **kwargs: as in `ContrastiveModel`.
        weight: of SIGReg, as in `LeJEPA`.
        slices: random directions a step.
        expander_hidden, expander_width: widths of each part's expander, a `ProjectionHead`.

    Example:
        >>> import keras, numpy as np, bod_keras
        >>> encoder = bod_keras.encoders.FrameCNN(input_shape=(4, 16, 16, 3), widths=(4, 8))
        >>> model = bod_keras.VLeJEPA(encoder, decoupling=True, expander_hidden=64)
        >>> model.compile(keras.optimizers.Adam(1e-3))
        >>> views = np.random.default_rng(0).random((8, 2, 4, 16, 16, 3), "float32")
        >>> history = model.fit(views, batch_size=8, verbose=0)

    Reference:
        Balestriero, LeCun, arXiv 2511.08544; on clips, arXiv 2608.27395.
    """

    uses_batch_statistics = True

    def __init__(
        self,
        encoder: keras.Model,
        decoupling: Decoupling | str | bool | None = None,
        projection_head: keras.layers.Layer | None = None,
        augmenter: keras.layers.Layer | None = None,
        weight: float = 0.05,
        slices: int = 256,
        expander_hidden: int = 256,
        expander_width: int = 64,
        **kwargs,
    ):
        super().__init__(encoder, decoupling, projection_head, augmenter, **kwargs)
        self.weight = weight
        self.slices = slices
        self.expander_hidden = expander_hidden
        self.expander_width = expander_width
        self.set_losses(lambda part: LeJEPA(weight, slices))
        # Keras does not look for them in losses.
        self.directions = [loss.seed_generator for loss in self.contrast.values()]
        self.evaluation_loss = LeJEPA(weight, slices, seed=0)
        self.expanders = part_networks(self.parts, expander_hidden, "expander", expander_width)

    def part_loss(self, part: str, views: list, targets: Any, training: bool) -> Any:
        wide = [self.expanders[part](view, training=training) for view in views]
        loss = self.contrast[part] if training else self.evaluation_loss
        return mean_over(all_pairs(len(views)), lambda i, j: loss(wide[i], wide[j]))
