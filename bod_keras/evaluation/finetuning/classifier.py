"""An encoder with a linear classifier, to be trained with labels."""

from __future__ import annotations

import random
from typing import Any

import keras
from keras import ops

from bod_keras.backend.keras_private import all_layers
from bod_keras.errors import UserError, check_choice
from bod_keras.training.labeled_model import LabeledModel

TRAINS = ("all", "head")
BATCH_NORMS = ("train", "adapt", "frozen")
NORMALIZATIONS = ("none", "l2", "l2+batch_norm")


@keras.saving.register_keras_serializable("bod_keras")
class Classifier(LabeledModel):
    """The time mean of an encoder's features, normalization, dropout, and one linear layer.

        logits = W dropout(normalize(mean_t encoder(clip)_t)) + b
        loss   = cross-entropy + weight_decay / 2 |w|^2

    where w are all weights that train and are no vectors: biases and batch-norm's are left out.

    Args:
        encoder: a built model from clips (B, T, H, W, 3) to frame features (B, T', C). It is trained itself,
            not a copy.
        classes: number of classes.
        train: "all", or "head": the encoder's weights stay.
        batch_norm: the encoder's batch normalization. "train": as usual. "adapt": its scale and shift stay, its
            statistics follow the clips. "frozen": it does as in inference, and nothing of it changes.
        normalize: of the time mean: "none", "l2", or "l2+batch_norm", with a batch normalization without scale
            and shift of its own.
        dropout: rate before the linear layer.
        weight_decay: L2, as above; AdamW has its own instead.

    Call arguments:
        inputs: clips (B, T, H, W, 3) in [0, 1]; or a dict of a stream, `"views"` (B, 1, T, H, W, 3) and
            `"position"` (B,), of which the model keeps where the data stand: `first_position`, `next_position`,
            `steps_taken`.
        training: whether it is a training step.

    Returns:
        Logits (B, classes), float32.

    Raises:
        ValueError: if an argument is none of those named, or the encoder does not keep time.

    Example:
        >>> from bod_keras.evaluation.finetuning import Classifier
        >>> import numpy as np
        >>> from bod_keras.encoders import FrameCNN
        >>> encoder = FrameCNN((4, 8, 8, 3), widths=(4,))
        >>> model = Classifier(encoder, classes=3, train="head", batch_norm="frozen")
        >>> tuple(model(np.zeros((2, 4, 8, 8, 3), "float32")).shape), len(model.trainable_variables)
        ((2, 3), 2)
    """

    def __init__(
        self,
        encoder: keras.Model,
        classes: int,
        train: str = "all",
        batch_norm: str = "train",
        normalize: str = "none",
        dropout: float = 0.0,
        weight_decay: float = 0.0,
        name: str = "classifier",
        **kwargs: Any,
    ):
        # The encoder casts for itself; the rest is float32 under every global policy.
        super().__init__(name=name, **{"dtype": "float32", **kwargs})
        for key, value, known in (
            ("train", train, TRAINS),
            ("batch_norm", batch_norm, BATCH_NORMS),
            ("normalize", normalize, NORMALIZATIONS),
        ):
            check_choice(key, value, known)
        if len(encoder.output_shape) != 3:
            raise UserError(
                "encoder must give frame features (batch, time, channels). Received an output of shape "
                f"{encoder.output_shape}"
            )
        self.encoder, self.classes = encoder, classes
        self._settings = {
            "train": train,
            "batch_norm": batch_norm,
            "normalize": normalize,
            "dropout": dropout,
            "weight_decay": weight_decay,
        }
        features = (None, encoder.output_shape[-1])
        self.norm = None
        if normalize == "l2+batch_norm":
            self.norm = keras.layers.BatchNormalization(
                momentum=0.9, epsilon=1e-5, center=False, scale=False, dtype="float32"
            )
            self.norm.build(features)
        # A seed of its own, from Python's generator as Keras' own: without one Keras on PyTorch draws from
        # PyTorch's generator, whose state is in no checkpoint.
        self.dropout = keras.layers.Dropout(dropout, seed=random.randrange(2**31), dtype="float32")
        # Small weights: at the start every class is about as likely as any other.
        self.head = keras.layers.Dense(
            classes,
            kernel_initializer=keras.initializers.RandomNormal(stddev=0.01),
            dtype="float32",
        )
        self.head.build(features)
        self._freeze()
        self.add_counters()

    def call(self, inputs, training=False):
        clips = inputs
        if isinstance(inputs, dict):
            clips = inputs["views"][:, 0]
            if training:
                self.count(inputs["position"])
        learns, batch_norm = self._settings["train"] == "all", self._settings["batch_norm"]
        # A frozen encoder without moving statistics is deterministic, its dropout off.
        features = self.encoder(clips, training=training and (learns or batch_norm != "frozen"))
        if not learns:
            features = ops.stop_gradient(features)
        pooled = ops.mean(ops.cast(features, "float32"), axis=1)
        if self._settings["normalize"] != "none":
            pooled = ops.normalize(pooled, axis=-1)
        if self.norm is not None:
            pooled = self.norm(pooled, training=training)
        if training and self._settings["weight_decay"]:
            self.add_loss(self._penalty())
        return self.head(self.dropout(pooled, training=training))

    def compile(self, optimizer: Any = "sgd", **kwargs: Any) -> None:
        """Compile with cross-entropy and the accuracy; AdamW's decay leaves out vectors."""
        accuracy = keras.metrics.SparseCategoricalAccuracy(name="accuracy")
        super().compile(optimizer, metrics=[accuracy], **kwargs)

    def loss_function(self) -> keras.losses.Loss:
        return keras.losses.SparseCategoricalCrossentropy(from_logits=True)

    def get_config(self):
        return {
            **super().get_config(),
            "encoder": keras.saving.serialize_keras_object(self.encoder),
            "classes": self.classes,
            **self._settings,
        }

    @classmethod
    def from_config(cls, config):
        encoder = keras.saving.deserialize_keras_object(config["encoder"])
        return cls(**{**config, "encoder": encoder})

    def _freeze(self):
        """What does not train, by Keras' flags: a layer's stops its statistics, a weight's only the weight."""
        self.encoder.trainable = self._settings["train"] == "all"
        for layer in all_layers(self.encoder):
            if isinstance(layer, keras.layers.BatchNormalization):
                layer.trainable = self._settings["batch_norm"] != "frozen"
                if self._settings["batch_norm"] == "adapt":
                    for weight in layer.trainable_variables:
                        weight.trainable = False

    def _penalty(self):
        squares = [
            ops.sum(ops.square(ops.cast(w, "float32")))
            for w in self.trainable_variables
            if len(w.shape) > 1
        ]
        return 0.5 * self._settings["weight_decay"] * sum(squares)


def copy_of(model: keras.Model) -> keras.Model:
    """Return a trainable model of the same architecture and weights."""
    twin = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(model))
    twin.set_weights(model.get_weights())
    twin.trainable = True
    return twin
