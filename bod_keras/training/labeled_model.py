"""`LabeledModel`: a Keras model that learns from labels and can be stopped at any step."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import keras
from keras import ops

from bod_keras.backend.keras_private import all_layers
from bod_keras.training.exclude_vectors import exclude_vectors_from_weight_decay
from bod_keras.training.seed_states import SeedStates

_COUNTERS = ("first_position", "next_position", "steps_taken")


class LabeledModel(SeedStates, keras.Model):
    """Base of models that `fit_labeled` trains.

    A subclass implements `loss_function`, calls `add_counters` at the end of ``__init__``, and calls `count` in
    a training step with the ``"position"`` of its inputs, if they have one. It is compiled with an optimizer
    alone. What Keras leaves out of a file is kept here: the states of random seeds, and that vectors do not
    decay. Where a layer computes in float16 the loss is scaled.
    """

    def loss_function(self) -> keras.losses.Loss:
        """Return the loss of a batch."""
        raise NotImplementedError(f"{type(self).__name__} must implement loss_function")

    def add_counters(self) -> None:
        """Create the weights that say where the data stand: after them the model is built."""
        for name in _COUNTERS:
            counter = self.add_weight(
                name=name, shape=(), dtype="int32", trainable=False, initializer="zeros"
            )
            setattr(self, name, counter)
        self.built = True

    def count(self, position: Any) -> None:
        """Count a step whose samples have these positions in the stream of training, (B,)."""
        position = ops.cast(position, "int32")
        self.first_position.assign(ops.min(position))
        self.next_position.assign(ops.max(position) + 1)
        self.steps_taken.assign(self.steps_taken + 1)

    def compile(self, optimizer: Any = "adamw", **kwargs: Any) -> None:
        """Compile the model with its own loss. Biases and parameters of normalizations do not decay."""
        optimizer = keras.optimizers.get(optimizer)
        scaled = isinstance(optimizer, keras.optimizers.LossScaleOptimizer)
        if not scaled and any(layer.compute_dtype == "float16" for layer in all_layers(self)):
            optimizer = keras.optimizers.LossScaleOptimizer(optimizer)
        super().compile(optimizer=optimizer, loss=self.loss_function(), **kwargs)
        if not self.optimizer.built:
            exclude_vectors_from_weight_decay(self.optimizer)
            self.optimizer.build(self.trainable_variables)

    def get_compile_config(self) -> dict[str, Any]:
        if not self.compiled:
            return {}
        return {"optimizer": keras.saving.serialize_keras_object(self.optimizer)}

    def compile_from_config(self, config: Mapping[str, Any]) -> None:
        self.compile(**keras.saving.deserialize_keras_object(config))

    def load_own_variables(self, store: Mapping[str, Any]) -> None:
        if len(store.keys()):  # a detector of version 0.1 has no counters
            super().load_own_variables(store)
