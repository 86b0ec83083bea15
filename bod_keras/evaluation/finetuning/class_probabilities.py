"""What a classifier says of videos: the mean over their clips of the classes' probabilities."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import keras
import numpy as np
from keras import ops

from bod_keras.evaluation.features import iterate_features


class ClassProbabilities(keras.Model):
    """A classifier's softmax, as a read-out that is averaged over the views of a video.

        p(class | video) = 1 / V sum_v softmax(logits(clip_v))

    Args:
        classifier: a model from clips (B, T, H, W, 3) to logits (B, C).

    Call arguments:
        clips: (B, T, H, W, 3), RGB in [0, 1].

    Returns:
        `{"probabilities": float32 (B, C)}`.
    """

    order = ("probabilities",)

    def __init__(self, classifier: keras.Model):
        super().__init__(name="class_probabilities")
        self.classifier = classifier

    def call(self, clips):
        return {"probabilities": ops.softmax(self.classifier(clips, training=False), axis=-1)}

    def of_videos(self, dataset: Iterable[Mapping]) -> tuple[np.ndarray, np.ndarray]:
        """Return the probabilities of every video, float32 (N, C), and their index, int64 (N,).

        Args:
            dataset: as of `iterate_features`; not empty.
        """
        batches = list(iterate_features(self, dataset))
        probabilities = np.concatenate([found["probabilities"] for found, _ in batches])
        return probabilities, np.concatenate([index for _, index in batches])
