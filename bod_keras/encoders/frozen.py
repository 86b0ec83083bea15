"""`Frozen`: a model that is used and never trained."""

from __future__ import annotations

from typing import Any

import keras


@keras.saving.register_keras_serializable("bod_keras")
class Frozen(keras.layers.Layer):
    """Run a model as in evaluation, also in training: no weight is trained, no dropout, moving statistics.

    ``trainable=False`` alone leaves dropout on in training.

    Args:
        model: a built Keras model; its ``trainable`` becomes False.
        **kwargs: of `keras.layers.Layer`.

    Example:
        >>> import keras, numpy as np
        >>> from bod_keras.encoders.frozen import Frozen
        >>> inner = keras.Sequential([keras.Input((2,)), keras.layers.Dense(3), keras.layers.Dropout(0.5)])
        >>> frozen, x = Frozen(inner), np.ones((1, 2), "float32")
        >>> len(frozen.trainable_variables), bool(np.all(frozen(x, training=True) == frozen(x)))
        (0, True)
    """

    def __init__(self, model: keras.Model, **kwargs: Any):
        super().__init__(**{**kwargs, "trainable": False})
        model.trainable = False
        self.model = model
        self.built = True

    def call(self, x: Any, training: bool = False) -> Any:
        return self.model(x, training=False)

    def get_config(self):
        return {**super().get_config(), "model": keras.saving.serialize_keras_object(self.model)}

    @classmethod
    def from_config(cls, config):
        config = dict(config)
        return cls(keras.saving.deserialize_keras_object(config.pop("model")), **config)
