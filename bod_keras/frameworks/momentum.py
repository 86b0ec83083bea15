"""`MomentumModel`: a contrastive model whose targets come from a slowly moving copy of its networks."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
from keras import ops

from bod_keras.decoupling import Decoupling
from bod_keras.errors import UserError
from bod_keras.frameworks.base import ContrastiveModel


class MomentumModel(ContrastiveModel):
    """A `ContrastiveModel` with a momentum encoder, head and split, which make the targets.

    After every step, for each trainable weight w and its copy m_w,

        m_w = m w_m + (1 - m) w,   m = 1 - (1 - momentum) (1 + cos(pi k / momentum_steps)) / 2,

    with k the number of steps taken before. The copies are made when the model is, from the weights that the
    encoder has then; they get no gradient, and no batch statistics: they normalize by those of their own batch.

    A subclass implements ``part_loss(part, views, targets, training)``, in which `targets` are the momentum
    networks' embeddings of the same views.

    Args:
        encoder, decoupling, projection_head, augmenter, **kwargs: as in `ContrastiveModel`.
        momentum: m at the first step, in [0, 1].
        momentum_steps: steps over which m rises to 1 along half a cosine, the whole run in the published
            recipes; None keeps it.

    Raises:
        ValueError: a momentum out of its range; and as `ContrastiveModel`.

    Example:
        >>> import bod_keras
        >>> class VRegression(bod_keras.MomentumModel):
        ...     def __init__(self, encoder, decoupling=None, **kwargs):
        ...         super().__init__(encoder, decoupling, **kwargs)
        ...         self.set_losses(lambda part: bod_keras.CosineRegression())
        ...     def part_loss(self, part, views, targets, training):
        ...         return self.contrast[part](targets[1], views[0])
        >>> encoder = bod_keras.encoders.FrameCNN(input_shape=(4, 16, 16, 3), widths=(4, 8))
        >>> round(float(VRegression(encoder, momentum=0.9, momentum_steps=100).momentum_at(50)), 3)
        0.95

    Reference:
        He et al., arXiv 1911.05722, eq. 2; the schedule: Grill et al., arXiv 2006.07733, section 3.3.
    """

    in_epochs = {"momentum_steps": None}

    def __init__(
        self,
        encoder: keras.Model,
        decoupling: Decoupling | str | bool | None = None,
        projection_head: keras.layers.Layer | None = None,
        augmenter: keras.layers.Layer | None = None,
        momentum: float = 0.996,
        momentum_steps: int | None = None,
        **kwargs,
    ):
        super().__init__(encoder, decoupling, projection_head, augmenter, **kwargs)
        if not 0 <= momentum <= 1:
            raise UserError(f"momentum must lie in [0, 1]. Received: {momentum}")
        if momentum_steps is not None and momentum_steps < 1:
            raise UserError(f"momentum_steps must be at least 1. Received: {momentum_steps}")
        self.momentum = momentum
        self.momentum_steps = momentum_steps
        self.momentum_encoder = _momentum_copy(self.encoder)
        self.momentum_head = _momentum_copy(self.projection_head)
        self.momentum_split = None
        if self.split is not None:
            self.momentum_split = _momentum_copy(self.split)

    @property
    def target_networks(self) -> list:
        names = ("momentum_encoder", "momentum_head", "momentum_split")
        networks = [getattr(self, name, None) for name in names]
        return [network for network in networks if network is not None]

    def momentum_at(self, step: Any) -> Any:
        """m after `step` steps, a float32 scalar."""
        if self.momentum_steps is None:
            return ops.convert_to_tensor(self.momentum, dtype="float32")
        done = ops.minimum(ops.cast(step, "float32") / self.momentum_steps, 1.0)
        return 1.0 - (1.0 - self.momentum) * 0.5 * (1.0 + ops.cos(np.pi * done))

    def targets(self, clips: Any, views: int, training: bool) -> Any:
        features = self.target_features(self.momentum_encoder, clips, views, training)
        embeddings = self.momentum_head(features, training=training)
        return self.split_views(embeddings, self.momentum_split, views)[0]

    def after_update(self, targets: Any, kept: Any) -> None:
        momentum = self.momentum_at(self.steps_taken)
        for weight, average in self._momentum_pairs():
            average.assign(momentum * average + (1.0 - momentum) * weight)

    def _momentum_pairs(self):
        """Each averaged weight and its copy; what is no parameter (batch statistics, counters) is not one."""
        networks = [
            (self.encoder, self.momentum_encoder),
            (self.projection_head, self.momentum_head),
        ]
        if self.split is not None:
            networks.append((self.split, self.momentum_split))
        for network, copy in networks:
            for weight, average in zip(network.weights, copy.weights):
                if weight.trainable:
                    yield weight, average


def _momentum_copy(network):
    """An equal network of its own, with the same values, none of which is trained."""
    config = keras.saving.serialize_keras_object(network)
    config["config"]["name"] = f"momentum_{network.name}"
    copy = keras.saving.deserialize_keras_object(config)
    for weight, own in zip(network.weights, copy.weights, strict=True):
        own.assign(ops.copy(weight.value))  # a copy: JAX would share the buffer
        # Not `copy.trainable`: its batch normalization would turn to its moving statistics.
        own.trainable = False
    return copy
