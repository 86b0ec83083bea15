"""What a detector says of the boxes of key frames."""

from __future__ import annotations

import contextlib
from collections.abc import Callable

import numpy as np
from keras import ops

from bod_keras.data.loading.key_frame_clips import KeyFrameClips
from bod_keras.detection.action_detector import ActionDetector
from bod_keras.training.predict_filled_up import predict_filled_up


def score_boxes(
    detector: ActionDetector, data: KeyFrameClips, progress: Callable[[int], object] | None = None
) -> dict[int, np.ndarray]:
    """Return the class scores of every box of every readable key frame.

    Args:
        detector: an `ActionDetector`.
        data: the key frames.
        progress: called with the number of key frames done after each batch; None is silent.

    Returns:
        From the position of a key frame in `data.records` to its scores, float32 `(len(boxes), classes)`.

    Raises:
        ValueError: if too many videos are broken.
    """
    found = {}
    with contextlib.closing(data.evaluation()) as batches:
        for inputs, index in batches:
            logits = predict_filled_up(detector, inputs, data.batch_size)
            scores = ops.convert_to_numpy(detector.scores(logits))
            for row, i in enumerate(index.tolist()):
                found[i] = scores[row, : len(data.records[i].boxes)]
            if progress is not None:
                progress(len(index))
    return found
