"""v-MoCo: queries against the keys of a momentum encoder and a queue of earlier keys."""

from __future__ import annotations

import math
from typing import Any

import keras
from keras import ops

from bod_keras.decoupling import Decoupling
from bod_keras.frameworks._pairs import mean_over, ordered_pairs
from bod_keras.frameworks.base import FRAMEWORKS
from bod_keras.frameworks.key_queue import KeyQueue
from bod_keras.frameworks.momentum import MomentumModel
from bod_keras.losses.queue_info_nce import QueueInfoNCE


@FRAMEWORKS.register("vmoco")
@keras.saving.register_keras_serializable("bod_keras")
class VMoCo(MomentumModel):
    """v-MoCo, plain or decoupled: every part is contrasted by `QueueInfoNCE`, with a queue of its own.

    Each view is a query against the key of every other view, as in rho-MoCo; then the keys of all views enter
    the queue. The keys are those of the momentum encoder, head and split.

    Args:
        encoder, decoupling, projection_head, augmenter, **kwargs: as in `ContrastiveModel`.
        temperature: of the loss, where `Decoupling` does not set that of a part.
        queue_size: keys that are kept, of each part.
        wait_for_queue: leave all weights as they are until the queues are full, as rho-MoCo does. Otherwise
            the loss contrasts with as many keys as there are.
        momentum, momentum_steps: as in `MomentumModel`.

    Example:
        >>> import keras, numpy as np, bod_keras
        >>> encoder = bod_keras.encoders.FrameCNN(input_shape=(4, 16, 16, 3), widths=(4, 8))
        >>> model = bod_keras.VMoCo(encoder, decoupling=True, queue_size=64)
        >>> model.compile(keras.optimizers.SGD(0.1, momentum=0.9))
        >>> views = np.random.default_rng(0).random((8, 2, 4, 16, 16, 3), "float32")
        >>> history = model.fit(views, batch_size=8, verbose=0)
        >>> {part: int(queue.filled) for part, queue in model.queues.items()}
        {'static': 16, 'dynamic': 24}

    Reference:
        Feichtenhofer et al., arXiv 2104.14558 (rho-MoCo); He et al., arXiv 1911.05722.
    """

    compares_with_negatives = True

    def __init__(
        self,
        encoder: keras.Model,
        decoupling: Decoupling | str | bool | None = None,
        projection_head: keras.layers.Layer | None = None,
        augmenter: keras.layers.Layer | None = None,
        temperature: float = 0.1,
        queue_size: int = 65536,
        wait_for_queue: bool = False,
        momentum: float = 0.994,
        momentum_steps: int | None = None,
        **kwargs,
    ):
        super().__init__(
            encoder, decoupling, projection_head, augmenter, momentum, momentum_steps, **kwargs
        )
        self.temperature = temperature
        self.queue_size = queue_size
        self.wait_for_queue = wait_for_queue
        self.set_losses(lambda part: QueueInfoNCE(self.temperature_of(part), gathered=True))
        self.queues = {}
        for part, width in self.parts.items():
            self.queues[part] = KeyQueue(queue_size, name=f"{part}_queue")
            self.queues[part].build((None, width))

    def chance_loss(self, part: str, videos: int) -> float:
        return math.log1p(int(self.queues[part].filled))  # as many keys as there are now

    def part_loss(self, part: str, views: list, targets: Any, training: bool) -> Any:
        contrast = self.contrast[part]
        rows, filled = self.queues[part](targets[0])  # as the last step left it
        return mean_over(
            ordered_pairs(len(views)),
            lambda query, key: contrast((targets[key], rows, filled), views[query]),
        )

    def after_update(self, targets: Any, kept: Any) -> None:
        super().after_update(targets, kept)
        for part, keys in targets.items():
            self.queues[part].enqueue(ops.concatenate(keys, axis=0))

    def is_learning(self) -> Any:
        if not self.wait_for_queue:
            return None
        queue = next(iter(self.queues.values()))
        return ops.convert_to_tensor(queue.filled) >= self.queue_size
