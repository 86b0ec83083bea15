"""Fine-tuning of an action detector, resumable at any step."""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterator
from pathlib import Path

import keras
import numpy as np

from bod_keras.data.loading.key_frame_clips import KeyFrameClips
from bod_keras.detection.action_detector import ActionDetector
from bod_keras.errors import UserError, check_choice
from bod_keras.training import warmup_cosine
from bod_keras.training.fit_labeled import fit_labeled

_OPTIMIZERS = {"adamw": keras.optimizers.AdamW, "sgd": keras.optimizers.SGD}


def fit_detector(
    detector: ActionDetector,
    data: KeyFrameClips,
    folder: str | os.PathLike,
    *,
    epochs: int,
    optimizer: str = "adamw",
    learning_rate: float = 1e-3,
    warmup_epochs: float = 0.0,
    weight_decay: float = 0.0,
    momentum: float = 0.9,
    clipnorm: float | None = None,
) -> ActionDetector:
    """Train all weights of a detector on the boxes of key frames.

    The learning rate rises linearly from 0 during the warm-up and then falls to 0 as a cosine. The detector
    with its optimizer is saved after every epoch and after a signal; a later call with the same folder
    continues there, with the clips that would have come next, or returns the detector at once if no step is
    left.

    Args:
        detector: an `ActionDetector`; it is trained in place, unless the folder holds a later one.
        data: the key frames to learn from.
        folder: of the checkpoints and history.csv.
        epochs: times that each key frame is seen.
        optimizer: "adamw" or "sgd" (with Nesterov's momentum).
        learning_rate: its peak.
        warmup_epochs: epochs in which it rises.
        weight_decay: decoupled, of all weights but vectors.
        momentum: of "sgd".
        clipnorm: greatest norm of the gradient of a weight; None for any.

    Returns:
        The trained detector.

    Raises:
        TrainingStoppedError: after SIGINT or SIGTERM; the state is saved.
        FloatingPointError: the loss is not finite.
        UserError: an argument is out of range, no checkpoint is complete, or too many videos are broken.
    """
    check_choice("optimizer", optimizer, _OPTIMIZERS)
    if epochs < 1 or not 0 <= warmup_epochs < epochs:
        raise UserError(
            "epochs must be at least 1, and more than warmup_epochs. "
            f"Received: epochs={epochs}, warmup_epochs={warmup_epochs}"
        )
    steps = data.steps_per_epoch

    def build() -> ActionDetector:
        rate = warmup_cosine(learning_rate, epochs * steps, round(warmup_epochs * steps))
        more = {"momentum": momentum, "nesterov": True} if optimizer == "sgd" else {}
        made = _OPTIMIZERS[optimizer](rate, weight_decay=weight_decay, clipnorm=clipnorm, **more)
        detector.compile(made)
        return detector

    def stream(position: int) -> Iterator[tuple]:
        """Batches for `fit`; a step is a position."""
        epoch, within = divmod(position, steps)
        batches = data.training(epoch, (epochs - epoch) * steps)
        rest = itertools.islice(batches, within, None)
        for step, (inputs, targets, mask) in enumerate(rest, start=position):
            numbers = np.full(len(mask), step, np.int32)
            yield {**inputs, "position": numbers}, targets, mask

    what = f"{len(data.records)} key frames"
    history = Path(folder) / "history.csv"
    return fit_labeled(build, stream, folder, history, steps=steps, epochs=epochs, what=what)[0]
