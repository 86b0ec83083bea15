"""`ActionDetector`: what persons do, given their boxes, from the feature map of a video encoder."""

from __future__ import annotations

import random
from typing import Any

import keras
from keras import layers, ops

from bod_keras.detection.roi_align import RoIAlign
from bod_keras.errors import UserError, check_choice
from bod_keras.training.labeled_model import LabeledModel

_POOLS = {"mean": ops.mean, "max": ops.max}


@keras.saving.register_keras_serializable("bod_keras")
class ActionDetector(LabeledModel):
    """A video encoder's feature map, pooled over time, cut out under each box, and a linear classifier.

    With m the map of `features`, (B, T', H', W', C):

        logits[b, n] = W dropout(pool over bins (RoIAlign(pool over time m[b], box[b, n]))) + c

    Args:
        features: a `keras.Model` from clips (B, T, H, W, 3) to maps (B, T', H', W', C):
            `bod_keras.encoders.feature_map(encoder)`. It is trained with the rest.
        classes: number of classes.
        multi_label: whether a person does several things at once: scores are then sigmoids of the logits
            (AVA), else their softmax (UCF101-24).
        bins: height and width of the grid that a box is sampled to.
        time_pool: "mean" or "max", over the map's time.
        bin_pool: "max" or "mean", over the bins of a box.
        dropout: share of the features of a box that training drops.
        **kwargs: of `keras.Model`.

    Call arguments:
        inputs: a dict of "clips", (B, T, H, W, 3), RGB in [0, 1], and "boxes", (B, N, 4), left, top, right,
            bottom as shares of a clip's width and height. Rows that only fill up give numbers of no meaning. In
            training also "position", (B,), by which `fit_detector` continues.
        training: whether dropout and batch statistics are on.

    Returns:
        Logits (B, N, classes) in float32.

    Raises:
        ValueError: if `features` gives no map, or another argument is not as described.

    Example:
        >>> from bod_keras.detection import ActionDetector
        >>> import numpy as np
        >>> from bod_keras.encoders import FrameCNN, feature_map
        >>> encoder = FrameCNN((4, 16, 16, 3), widths=(4, 8))
        >>> detector = ActionDetector(feature_map(encoder), classes=24, multi_label=False, bins=3)
        >>> boxes = np.array([[[0.0, 0.0, 0.5, 1.0], [0.5, 0.0, 1.0, 1.0]]], "float32")
        >>> tuple(detector({"clips": np.zeros((1, 4, 16, 16, 3), "float32"), "boxes": boxes}).shape)
        (1, 2, 24)

    Reference:
        Feichtenhofer et al., "SlowFast Networks for Video Recognition", ICCV 2019, section 5; Gu et al.,
        "AVA", CVPR 2018.
    """

    def __init__(
        self,
        features: keras.Model,
        classes: int,
        multi_label: bool,
        bins: int = 7,
        time_pool: str = "mean",
        bin_pool: str = "max",
        dropout: float = 0.5,
        **kwargs: Any,
    ):
        super().__init__(**kwargs)
        shape = getattr(features, "output_shape", None)
        if not isinstance(shape, tuple) or len(shape) != 5:
            raise UserError(
                "features must be a model from clips to maps (B, T, H, W, C). Received: one with the outputs "
                f"{shape}. Make it with bod_keras.encoders.feature_map(encoder)."
            )
        for name, pool in (("time_pool", time_pool), ("bin_pool", bin_pool)):
            check_choice(name, pool, _POOLS)
        if isinstance(classes, bool) or not isinstance(classes, int) or classes < 1:
            raise UserError(f"classes must be a positive integer. Received: {classes!r}.")
        self.autocast = False  # the encoder casts for itself; half precision would move the boxes
        self.features = features
        self.classes, self.multi_label = classes, bool(multi_label)
        self.time_pool, self.bin_pool = time_pool, bin_pool
        self.roi_align = RoIAlign(bins, name="roi_align")
        # A seed of its own, without which Keras on PyTorch draws from a generator that is in no checkpoint.
        self.dropout = layers.Dropout(dropout, seed=random.randrange(2**31), name="dropout")
        # In float32 under every policy, as what the loss reads.
        self.classifier = layers.Dense(
            classes,
            kernel_initializer=keras.initializers.RandomNormal(stddev=0.01),
            dtype="float32",
            name="classifier",
        )
        self.classifier.build((None, None, shape[-1]))
        self.add_counters()

    def call(self, inputs, training=False):
        if training and "position" in inputs:
            self.count(inputs["position"])
        maps = self.features(inputs["clips"], training=training)
        maps = _POOLS[self.time_pool](ops.cast(maps, "float32"), axis=1)
        regions = self.roi_align(maps, inputs["boxes"])
        pooled = _POOLS[self.bin_pool](ops.cast(regions, "float32"), axis=(2, 3))
        return self.classifier(self.dropout(pooled, training=training))

    def scores(self, logits: Any) -> Any:
        """Return the probabilities of the classes, (..., classes), for logits of that shape."""
        return ops.sigmoid(logits) if self.multi_label else ops.softmax(logits, axis=-1)

    def loss_function(self) -> keras.losses.Loss:
        """Return the loss of a box: the mean cross-entropy of its classes, or that of its one class.

        Returns:
            A `keras.losses.Loss` of targets (B, N, classes), 0 or 1, and logits, weighted by
            ``sample_weight``, (B, N): the mean over the boxes whose weight is 1.
        """
        kind = keras.losses.CategoricalCrossentropy
        if self.multi_label:
            kind = keras.losses.BinaryCrossentropy
        return kind(from_logits=True, reduction="mean_with_sample_weight")

    def get_config(self):
        return {
            **super().get_config(),
            "features": keras.saving.serialize_keras_object(self.features),
            "classes": self.classes,
            "multi_label": self.multi_label,
            "bins": self.roi_align.size,
            "time_pool": self.time_pool,
            "bin_pool": self.bin_pool,
            "dropout": self.dropout.rate,
        }

    @classmethod
    def from_config(cls, config):
        features = keras.saving.deserialize_keras_object(config["features"])
        return cls(**{**config, "features": features})
