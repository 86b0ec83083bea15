"""A frozen model with a grid of attentive probes on each of its parts, to be trained with labels."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import keras
import numpy as np
from keras import ops

from bod_keras.backend.keras_private import all_layers
from bod_keras.evaluation.probes.attentive_probe import AttentiveProbe
from bod_keras.training.grid_adamw import GridAdamW
from bod_keras.training.labeled_model import LabeledModel
from bod_keras.training.predict_filled_up import predict_filled_up

_ORDER = ("frames", "static", "dynamic")
_TINY = 1e-12  # of a token that is zero; a part may be of numbers as small as 1e-4


def token_model(model: keras.Model, frames: int) -> keras.Model:
    """Return a Functional model from clips to the tokens of each part, with the weights of this one.

    Args:
        model: a framework model, or an encoder.
        frames: T of a clip.

    Returns:
        A model from (B, T, H, W, 3) to ``{"frames": (B, T', C)}``, the encoder's features, and of a framework
        ``"static"`` (B, 1, D) and ``"dynamic"`` (B, 1, K), one token each.
    """
    encoder = getattr(model, "encoder", model)
    clips = keras.Input((encoder.input_shape[1] or frames, *encoder.input_shape[2:]))
    features = encoder(clips, training=False)
    outputs = {"frames": features}
    if hasattr(model, "reading_split"):
        embeddings = model.part_embeddings(model.projection_head(features, training=False))
        both = [model.reading_split()(part) for part in embeddings]
        outputs |= {"static": both[0][0][:, None], "dynamic": both[-1][1][:, None]}
    return keras.Model(clips, outputs, name="tokens")


@keras.saving.register_keras_serializable("bod_keras")
class AttentiveClassifier(LabeledModel):
    """Attentive probes of every part of a frozen model, one for each learning rate and weight decay.

    The tokens of a video's clips at different times are laid side by side, each brought to mean 0 and variance
    1 over its own numbers. All probes see the same augmented clips, and none sees another one's gradient:

        loss = sum over parts and probes of cross-entropy(AttentiveProbe(tokens of the part))

    Args:
        tokens: what `token_model` makes; its weights stay.
        classes: number of classes.
        rates, decays: of `GridAdamW`, one pair a probe.
        segments: clips of a video at different times.
        blocks, heads, most_width: as of `AttentiveProbe`.

    Call arguments:
        inputs: a dict with `"views"` (B, segments R, T, H, W, 3), R crops of each clip side by side, and in
            training `"position"` (B,), as of `Classifier`.

    Returns:
        Logits (B, R, parts, probes, classes), float32.

    Example:
        >>> import numpy as np, bod_keras
        >>> from bod_keras.evaluation.finetuning import AttentiveClassifier, token_model
        >>> encoder = bod_keras.encoders.FrameCNN((4, 8, 8, 3), widths=(4,))
        >>> probes = AttentiveClassifier(token_model(encoder, 4), 3, (1e-3, 1e-4), (0.1, 0.1), blocks=1)
        >>> tuple(probes({"views": np.zeros((2, 6, 4, 8, 8, 3), "float32")}).shape)
        (2, 3, 1, 2, 3)
    """

    def __init__(
        self,
        tokens: keras.Model,
        classes: int,
        rates: Sequence[float],
        decays: Sequence[float],
        segments: int = 2,
        blocks: int = 4,
        heads: int = 16,
        most_width: int = 256,
        name: str = "attentive_classifier",
        **kwargs: Any,
    ):
        super().__init__(name=name, **{"dtype": "float32", **kwargs})
        self.tokens = tokens
        # Each by itself: of a model that was loaded, Keras' flag does not reach the layers of layers.
        for layer in all_layers(self.tokens):
            layer.trainable = False
        self.parts = [part for part in _ORDER if part in tokens.output]
        self._settings = {
            "classes": classes,
            "rates": list(rates),
            "decays": list(decays),
            "segments": segments,
            "blocks": blocks,
            "heads": heads,
            "most_width": most_width,
        }
        self.probes = []
        for part in self.parts:
            probe = AttentiveProbe(classes, len(rates), blocks, heads, most_width, name=part)
            _, number, width = tokens.output[part].shape
            probe.build((None, segments * number, width))
            self.probes.append(probe)
        self.add_counters()

    def call(self, inputs, training=False):
        if training:
            self.count(inputs["position"])
        views = inputs["views"]
        segments, crops = self._settings["segments"], views.shape[1] // self._settings["segments"]
        # Nothing in the encoder learns, so that clips go through it as in inference.
        found = self.tokens(ops.reshape(views, (-1, *views.shape[2:])), training=False)
        logits = []
        for part, probe in zip(self.parts, self.probes):
            x = ops.cast(ops.stop_gradient(found[part]), "float32")
            mean, variance = ops.moments(x, axes=-1, keepdims=True)
            x = (x - mean) / ops.sqrt(variance + _TINY)
            number, width = x.shape[1:]
            x = ops.reshape(x, (-1, segments, crops, number, width))
            x = ops.reshape(ops.swapaxes(x, 1, 2), (-1, segments * number, width))
            logits.append(ops.swapaxes(probe(x), 0, 1))
        shape = (-1, crops, len(logits), len(self._settings["rates"]), self._settings["classes"])
        return ops.reshape(ops.stack(logits, axis=1), shape)

    def probabilities(
        self, dataset: Iterable[Mapping[str, np.ndarray]]
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return what each probe says of videos: the mean over crops of its softmax.

        Args:
            dataset: batches of `"views"` and `"index"`, with `segments` clips of each video, and crops of each.

        Returns:
            Probabilities (parts, probes, N, classes), and the index of the videos, int64 (N,).
        """
        found, index, full = [], [], 0
        for batch in dataset:
            full = full or len(batch["index"])
            logits = predict_filled_up(self, {"views": batch["views"]}, full)
            shares = np.exp(logits - logits.max(axis=-1, keepdims=True))
            found.append((shares / shares.sum(axis=-1, keepdims=True)).mean(axis=1))
            index.append(np.asarray(batch["index"], np.int64))
        return np.moveaxis(np.concatenate(found), 0, 2), np.concatenate(index)

    def compile(self, optimizer: Any = None, **kwargs: Any) -> None:
        """Compile with the sum of the cross-entropies.

        Args:
            optimizer: a `GridAdamW`; None: one with the rates and decays as they are.
            **kwargs: of Keras' `compile`.
        """
        pairs = {key: self._settings[key] for key in ("rates", "decays")}
        super().compile(optimizer or GridAdamW(**pairs), **kwargs)

    def loss_function(self) -> keras.losses.Loss:
        return _SumOfCrossEntropies()

    def get_config(self):
        tokens = keras.saving.serialize_keras_object(self.tokens)
        return {**super().get_config(), "tokens": tokens, **self._settings}

    @classmethod
    def from_config(cls, config):
        return cls(**{**config, "tokens": keras.saving.deserialize_keras_object(config["tokens"])})


class _SumOfCrossEntropies(keras.losses.Loss):
    """One value a sample, so that Keras divides by the replicas."""

    def call(self, y_true, y_pred):
        classes = ops.cast(ops.reshape(y_true, (-1, 1, 1, 1)), "int32")
        classes = ops.broadcast_to(classes, ops.shape(y_pred)[:-1])
        losses = keras.losses.sparse_categorical_crossentropy(classes, y_pred, from_logits=True)
        return ops.sum(ops.mean(losses, axis=1), axis=(1, 2))
