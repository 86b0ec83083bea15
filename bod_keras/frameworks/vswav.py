"""v-SwAV: predict a clip's cluster assignment from another clip."""

from __future__ import annotations

import math
from typing import Any

import keras
from keras import ops

from bod_keras.decoupling import Decoupling
from bod_keras.frameworks._pairs import adjacent_pairs, mean_over
from bod_keras.frameworks.base import FRAMEWORKS, ContrastiveModel
from bod_keras.frameworks.key_queue import KeyQueue
from bod_keras.frameworks.prototypes import Prototypes
from bod_keras.losses.swapped_prediction import SwappedPrediction


@FRAMEWORKS.register("vswav")
@keras.saving.register_keras_serializable("bod_keras")
class VSwAV(ContrastiveModel):
    """v-SwAV, plain or decoupled: every part has prototypes and is fitted by `SwappedPrediction`.

    Of rho > 2 views, each is swapped with the next one, as in rho-SwAV.

    Cosines of a part of width D with random prototypes have the deviation 1 / sqrt(D). So that the wide dynamic
    part is assigned to prototypes as sharply as the static one, its temperature and epsilon are those of the
    static part times sqrt(D_static / D_dynamic). Both parts are standardized: without it, a component that all
    videos share would give every prototype the same score.

    Args:
        encoder, decoupling, projection_head, augmenter, **kwargs: as in `ContrastiveModel`.
        temperature: of the base and the static loss.
        prototypes: number of prototypes of each part.
        freeze_steps: steps at the start that leave the prototypes alone; an epoch in the published recipe.
        queue_size: embeddings of earlier videos with which the codes are balanced, once there are that many
            and `queue_steps` steps are taken; 0 for none. It helps where a batch is smaller than the
            prototypes.
        queue_steps: as above; 15 epochs in SwAV.
        epsilon: of `sinkhorn`, for the base and the static part.
        iterations: of `sinkhorn`.

    Example:
        >>> import keras, numpy as np, bod_keras
        >>> encoder = bod_keras.encoders.FrameCNN(input_shape=(4, 16, 16, 3), widths=(4, 8))
        >>> model = bod_keras.VSwAV(encoder, decoupling=True, prototypes=16)
        >>> model.compile(keras.optimizers.Adam(1e-3))
        >>> views = np.random.default_rng(0).random((8, 2, 4, 16, 16, 3), "float32")
        >>> history = model.fit(views, batch_size=8, verbose=0)

    Reference:
        Feichtenhofer et al., arXiv 2104.14558 (rho-SwAV); Caron et al., arXiv 2006.09882.
    """

    standardized_parts = ("static", "dynamic")
    in_epochs = {"freeze_steps": 1.0, "queue_steps": 15.0}

    def __init__(
        self,
        encoder: keras.Model,
        decoupling: Decoupling | str | bool | None = None,
        projection_head: keras.layers.Layer | None = None,
        augmenter: keras.layers.Layer | None = None,
        temperature: float = 0.1,
        prototypes: int = 1000,
        freeze_steps: int = 0,
        queue_size: int = 0,
        queue_steps: int = 0,
        epsilon: float = 0.05,
        iterations: int = 3,
        **kwargs,
    ):
        super().__init__(encoder, decoupling, projection_head, augmenter, **kwargs)
        self.temperature = temperature
        self.prototypes = prototypes
        self.freeze_steps = freeze_steps
        self.queue_size = queue_size
        self.queue_steps = queue_steps
        self.epsilon = epsilon
        self.iterations = iterations
        self.set_losses(self._loss_of)
        self.clusters, self.queues = {}, {}
        for part, width in self.parts.items():
            self.clusters[part] = Prototypes(prototypes, name=f"{part}_prototypes")
            self.clusters[part].build((None, width))
            if queue_size:
                self.queues[part] = KeyQueue(queue_size, name=f"{part}_queue")
                self.queues[part].build((None, width))

    def _loss_of(self, part):
        sharpness = 1.0
        if part == "dynamic":
            sharpness = math.sqrt(self.parts["static"] / self.parts["dynamic"])
        return SwappedPrediction(
            self.temperature * sharpness, self.epsilon * sharpness, self.iterations
        )

    def part_loss(self, part: str, views: list, targets: Any, training: bool) -> Any:
        swapped, clusters = self.contrast[part], self.clusters[part]
        steps = ops.convert_to_tensor(self.steps_taken)
        scores = [clusters(view, frozen=steps < self.freeze_steps) for view in views]
        queued = None
        if self.queue_size:
            rows, filled = self.queues[part](views[0])  # as the last step left it
            queued = ops.stop_gradient(clusters(rows))
            ready = ops.logical_and(filled >= self.queue_size, steps >= self.queue_steps)

        def predict(target, source):
            loss = swapped(scores[target], scores[source])
            if queued is None:
                return loss
            return ops.where(ready, swapped((scores[target], queued), scores[source]), loss)

        return mean_over(
            adjacent_pairs(len(views)), lambda i, j: 0.5 * (predict(i, j) + predict(j, i))
        )

    def after_update(self, targets: Any, kept: Any) -> None:
        for clusters in self.clusters.values():
            clusters.normalize()
        for part, queue in self.queues.items():
            queue.enqueue(ops.concatenate(kept[part], axis=0))
