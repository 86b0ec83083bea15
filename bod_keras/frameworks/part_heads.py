"""A projection head for each part."""

from __future__ import annotations

import keras
from keras import ops


@keras.saving.register_keras_serializable("bod_keras")
class PartHeads(keras.layers.Layer):
    """Two projection heads of the same features, for the static and for the dynamic part.

    The parts need opposite embeddings: the static one must not depend on where things are, and the dynamic one
    depends on nothing else.

    Args:
        static: a layer (..., C) -> (..., D).
        dynamic: another one of the same shape; one like `static`, with weights of its own, if None.

    Call arguments:
        features: (..., C).

    Returns:
        (..., 2 D): the embedding of the static part, then that of the dynamic part.

    Example:
        >>> import numpy as np, bod_keras
        >>> heads = bod_keras.PartHeads(bod_keras.ProjectionHead(64, 32))
        >>> heads(np.zeros((2, 8, 48), "float32")).shape[-1]
        64
    """

    def __init__(
        self, static: keras.layers.Layer, dynamic: keras.layers.Layer | None = None, **kwargs
    ):
        kwargs["dtype"] = "float32"  # as a head
        super().__init__(**kwargs)
        self.static = static
        if dynamic is None:
            config = {**static.get_config(), "name": f"{static.name}_dynamic"}
            dynamic = type(static).from_config(config)
        self.dynamic = dynamic

    def build(self, input_shape):
        for head in (self.static, self.dynamic):
            if not head.built:
                head.build(input_shape)
        self.built = True

    def call(self, features, training=False):
        heads = [head(features, training=training) for head in (self.static, self.dynamic)]
        return ops.concatenate(heads, axis=-1)

    def compute_output_shape(self, input_shape):
        *lead, width = self.static.compute_output_shape(input_shape)
        return (*lead, 2 * width)

    def get_config(self):
        serialize = keras.saving.serialize_keras_object
        heads = {"static": serialize(self.static), "dynamic": serialize(self.dynamic)}
        return {**super().get_config(), **heads}

    @classmethod
    def from_config(cls, config):
        config = dict(config)
        for name in ("static", "dynamic"):
            config[name] = keras.saving.deserialize_keras_object(config[name])
        return cls(**config)
