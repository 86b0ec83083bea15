"""Training of a classifier that can be stopped at any moment and goes on where it was."""

from __future__ import annotations

import math
import shutil
from collections.abc import Callable
from pathlib import Path

import keras

from bod_keras import training
from bod_keras.data import ClipDataset
from bod_keras.errors import UserError
from bod_keras.evaluation.finetuning.best_epoch import BestEpoch
from bod_keras.evaluation.finetuning.training_stopped_error import TrainingStoppedError


class TrainingRun:
    """Trains a `Classifier` with Keras' `fit`, with checkpoints, a table of the epochs and the time left.

    Args:
        folder: of this training alone: history.csv, checkpoints while it runs, classifier.keras after `finish`.
        data: clips with labels, one view each (`ClipDataset` with `labels`).
        epochs: how many.
        measure: from the model to the accuracy by which the epoch is chosen; None: the last epoch.

    Attributes:
        seconds_per_step: median of this process; None before three steps.

    Example:

    >>> from bod_keras.data import ClipDataset
    >>> from bod_keras.evaluation.finetuning import TrainingRun
    >>> import tempfile
    >>> import numpy as np
    >>> from bod_keras.data import array_records
    >>> from bod_keras.encoders import FrameCNN
    >>> from bod_keras.evaluation.finetuning import Classifier
    >>> records = array_records(np.zeros((4, 4, 8, 8, 3), np.uint8))
    >>> clips = {"frames": 4, "size": 8, "views": 1, "batch_size": 2, "recipe": "none"}
    >>> data = ClipDataset(records, labels=[0, 1, 0, 1], **clips)
    >>> def build():
    ...     model = Classifier(FrameCNN((4, 8, 8, 3), widths=(4,)), classes=2)
    ...     model.compile("sgd")
    ...     return model
    >>> run = TrainingRun(tempfile.mkdtemp(), data, epochs=1)
    >>> _, epoch, accuracy = run.train(build)
    4 labelled videos, 2 steps an epoch, 1 epochs
    >>> epoch, accuracy
    (1, None)
    """

    def __init__(
        self,
        folder: str | Path,
        data: ClipDataset,
        epochs: int,
        measure: Callable[[keras.Model], float] | None = None,
    ):
        self.folder, self.data, self.epochs = Path(folder), data, epochs
        self.measure = measure
        self.seconds_per_step: float | None = None

    def train(self, build: Callable[[], keras.Model]) -> tuple[keras.Model, int, float | None]:
        """Trains the model that `build` makes, or goes on with the one of the last checkpoint.

        Args:
            build: makes the compiled `Classifier`.

        Returns:
            `(model, epoch, accuracy)`: the model of the chosen epoch, counted from 1, and what `measure` gave
            for it (None without).

        Raises:
            TrainingStoppedError: after SIGINT or SIGTERM; the state is saved.
            FloatingPointError: if the loss is not finite.
            ValueError: if no checkpoint is complete, or too many videos are broken.
        """
        steps, checkpoints = self.data.steps_per_epoch, self.folder / "checkpoints"
        model, damaged = training.load_checkpoint(checkpoints)
        for path in damaged:
            print(f"{path} is damaged and was passed over.", flush=True)
        if model is None:
            if damaged:
                raise UserError(
                    f"No checkpoint in {checkpoints} is complete. Delete {self.folder} to start afresh."
                )
            shutil.rmtree(self.folder, ignore_errors=True)
            model = build()
        done = training.steps_taken(model)
        print(
            f"{len(self.data)} labelled videos, {steps} steps an epoch, {self.epochs} epochs"
            + (f", resumed at step {done}" if done else ""),
            flush=True,
        )
        progress = training.Progress(self.epochs * steps, done)
        stop = training.StopOnSignal()
        best = self.measure and BestEpoch(self.folder / "best", self.measure, steps)
        checkpoint = training.Checkpoint(checkpoints)
        callbacks = [stop, training.StopOnNonFinite(self.data.files), progress]
        callbacks += [best] if best else []
        callbacks += [training.HistoryFile(self.folder / "history.csv"), checkpoint]
        with self.data.clear_errors():
            training.fit_rest(model, self._stream, steps, self.epochs, callbacks)
        if stop.received is not None:
            checkpoint.save()
            raise TrainingStoppedError(stop.received, training.steps_taken(model))
        seconds = progress.seconds_per_step
        self.seconds_per_step = None if math.isnan(seconds) else seconds
        if not best:
            return model, self.epochs, None
        epoch, accuracy, file = best.found()
        return keras.models.load_model(file), epoch, accuracy

    def finish(self, model: keras.Model) -> None:
        """Keeps the chosen model, classifier.keras, and no checkpoints.

        Args:
            model: what `train` returned.
        """
        training.save_model(model, self.folder / "classifier.keras")
        for name in ("checkpoints", "best"):
            shutil.rmtree(self.folder / name, ignore_errors=True)

    def _stream(self, position: int):
        """Pairs of inputs and labels, as `fit` takes them."""
        if keras.backend.backend() == "tensorflow":
            return self.data.training(position).map(_pair)
        return (_pair(batch) for (batch,) in self.data.training_numpy(position))


def _pair(batch):
    return {"views": batch["views"], "position": batch["position"]}, batch["label"]
