"""Training with labels that can be stopped at any step, and continues there."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import keras

from bod_keras.errors import UserError
from bod_keras.training.checkpoint import Checkpoint, load_checkpoint
from bod_keras.training.fit_rest import fit_rest
from bod_keras.training.history_file import HistoryFile
from bod_keras.training.labeled_model import LabeledModel
from bod_keras.training.model import steps_taken
from bod_keras.training.progress import Progress
from bod_keras.training.stop_on_non_finite import StopOnNonFinite
from bod_keras.training.stop_on_signal import StopOnSignal


class TrainingStoppedError(Exception):
    """A signal has stopped training, and the state is saved.

    Args:
        number: the signal's number.
        step: the step that was saved.
    """

    def __init__(self, number: int, step: int):
        super().__init__(f"Saved step {step}. The same command resumes here.")
        self.number, self.step = number, step


def fit_labeled(
    build: Callable[[], LabeledModel],
    stream: Callable[[int], Iterable],
    checkpoints: str | os.PathLike,
    history: str | os.PathLike,
    *,
    steps: int,
    epochs: int,
    what: str,
    files: Callable[[int, int], Iterable[str]] | None = None,
    callbacks: Sequence[keras.callbacks.Callback] = (),
) -> tuple[LabeledModel, float | None]:
    """Train the model that `build` makes, or continue with the one of the last checkpoint.

    Args:
        build: makes the compiled model.
        stream: function from the position of the first sample to the batches from there on, for `fit`.
        checkpoints: folder of the checkpoints, one after each epoch.
        history: CSV file with a row for each epoch.
        steps: steps of an epoch.
        epochs: epochs of the whole training.
        what: what it learns from, for the first line that is printed.
        files: names the files of a batch, as of `StopOnNonFinite`.
        callbacks: run before the history is written.

    Returns:
        The model, and the median seconds of a step, None before three steps.

    Raises:
        TrainingStoppedError: after SIGINT or SIGTERM; the state is saved.
        FloatingPointError: the loss is not finite.
        UserError: no checkpoint is complete.
    """
    model, passed = load_checkpoint(checkpoints, tell=print)
    if model is None and passed:
        raise UserError(
            f"No checkpoint in {checkpoints} is complete. Delete {Path(checkpoints)} to start afresh."
        )
    model = model or build()
    done = steps_taken(model)
    state = f", resumed at step {done}" if done else ""
    if done >= steps * epochs:
        state = f", trained already: read from {checkpoints}"
    print(f"{what}, {steps} steps an epoch, {epochs} epochs{state}", flush=True)
    stop, progress, checkpoint = (
        StopOnSignal(),
        Progress(epochs * steps, done),
        Checkpoint(checkpoints),
    )
    first, last = [stop, StopOnNonFinite(files), progress], [HistoryFile(history), checkpoint]
    fit_rest(model, stream, steps, epochs, [*first, *callbacks, *last])
    if stop.received is not None:
        checkpoint.save()
        raise TrainingStoppedError(stop.received, steps_taken(model))
    seconds = progress.seconds_per_step
    return model, None if math.isnan(seconds) else seconds
