"""Fine-tuning of an action detector, resumable at the last epoch."""

from __future__ import annotations

import os

import keras

from bod_keras.data.loading.key_frame_clips import KeyFrameClips
from bod_keras.detection.action_detector import ActionDetector
from bod_keras.errors import UserError, check_choice
from bod_keras.training import (
    Checkpoint,
    Progress,
    StopOnNonFinite,
    load_checkpoint,
    steps_taken,
    warmup_cosine,
)

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
    """Trains all weights of a detector on the boxes of key frames.

    The learning rate rises linearly from 0 during the warm-up and then falls to 0 as a cosine. At the end of
    every epoch the detector with its optimizer is saved; a later call with the same folder goes on from there,
    with the clips that would have come next, or returns the detector at once if no epoch is left.

    Args:
        detector: an `ActionDetector`; it is trained in place, unless the folder holds a later one.
        data: the key frames to learn from.
        folder: of the checkpoints.
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
        ValueError: if an argument is out of range, or too many videos are broken.
        FloatingPointError: if the loss is no number any more.

    Example:

    >>> from bod_keras.detection import fit_detector
    >>> fit_detector(detector, clips, "run/detector", epochs=20)  # doctest: +SKIP
    """
    check_choice("optimizer", optimizer, _OPTIMIZERS)
    if epochs < 1 or not 0 <= warmup_epochs < epochs:
        raise UserError(
            "epochs must be at least 1, and more than warmup_epochs. "
            f"Received: epochs={epochs}, warmup_epochs={warmup_epochs}"
        )
    saved, damaged = load_checkpoint(folder)
    for path in damaged:
        print(f"{path} is damaged and was passed over.", flush=True)
    if saved is None:
        steps, warmup = (round(n * data.steps_per_epoch) for n in (epochs, warmup_epochs))
        rate = warmup_cosine(learning_rate, steps, warmup)
        more = {"momentum": momentum, "nesterov": True} if optimizer == "sgd" else {}
        built = _OPTIMIZERS[optimizer](rate, weight_decay=weight_decay, clipnorm=clipnorm, **more)
        detector.compile(built)
    else:
        detector = saved
    done = steps_taken(detector) // data.steps_per_epoch
    if done >= epochs:
        print(f"The detector of {folder} is trained already", flush=True)
        return detector
    if done:
        print(f"The detector of {folder} goes on after epoch {done} of {epochs}", flush=True)
    steps = data.steps_per_epoch
    detector.fit(
        data.training(done, steps * (epochs - done)),
        steps_per_epoch=steps,
        initial_epoch=done,
        epochs=epochs,
        callbacks=[
            Progress(epochs * steps, done * steps),
            StopOnNonFinite(),
            Checkpoint(folder, keep=1),
        ],
        shuffle=False,  # the stream is
        verbose=0,
    )
    return detector
