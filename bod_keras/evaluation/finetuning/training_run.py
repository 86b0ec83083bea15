"""Training of a classifier that can be stopped at any moment and continues where it was."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterable
from pathlib import Path

import keras

from bod_keras.data import ClipDataset
from bod_keras.evaluation.finetuning.best_epoch import BestEpoch
from bod_keras.evaluation.finetuning.classifier import Classifier
from bod_keras.training import load_model, save_model
from bod_keras.training.fit_labeled import fit_labeled


class TrainingRun:
    """Train a `Classifier` with Keras' `fit`, with checkpoints, a table of the epochs and the time left.

    Args:
        folder: of this training alone: history.csv, checkpoints while it runs, classifier.keras after `finish`.
        data: clips with labels, one view each (`ClipDataset` with `labels`).
        epochs: epochs of the whole training.
        measure: function from the model to the accuracy by which the epoch is chosen; None: the last epoch.

    Attributes:
        seconds_per_step: median of this process; None before three steps.
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

    def train(self, build: Callable[[], Classifier]) -> tuple[keras.Model, int, float | None]:
        """Train the model that `build` makes, or continue with the one of the last checkpoint.

        Args:
            build: makes the compiled `Classifier`.

        Returns:
            The model of the chosen epoch; that epoch, counted from 1; and what `measure` gave for it (None
            without).

        Raises:
            TrainingStoppedError: after SIGINT or SIGTERM; the state is saved.
            FloatingPointError: the loss is not finite.
            UserError: no checkpoint is complete, or too many videos are broken.
        """
        steps = self.data.steps_per_epoch
        best = self.measure and BestEpoch(self.folder / "best", self.measure, steps)
        with self.data.clear_errors():
            model, self.seconds_per_step = fit_labeled(
                build,
                self._stream,
                self.folder / "checkpoints",
                self.folder / "history.csv",
                steps=steps,
                epochs=self.epochs,
                what=f"{len(self.data)} labeled videos",
                files=self.data.files,
                callbacks=[best] if best else [],
            )
        if not best:
            return model, self.epochs, None
        epoch, accuracy, file = best.found()
        return load_model(file), epoch, accuracy

    def finish(self, model: keras.Model) -> None:
        """Keep the chosen model as classifier.keras, and no checkpoints.

        Args:
            model: what `train` returned.
        """
        save_model(model, self.folder / "classifier.keras")
        for name in ("checkpoints", "best"):
            shutil.rmtree(self.folder / name, ignore_errors=True)

    def _stream(self, position: int) -> Iterable:
        """Pairs of inputs and labels, as `fit` takes them."""
        if keras.backend.backend() == "tensorflow":
            return self.data.training(position).map(_pair)
        return (_pair(batch) for (batch,) in self.data.training_numpy(position))


def _pair(batch):
    return {"views": batch["views"], "position": batch["position"]}, batch["label"]
