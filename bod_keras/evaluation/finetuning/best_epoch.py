"""The epoch with the best accuracy, kept as a file."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import keras

from bod_keras.training import save_model, steps_taken

_NAME = re.compile(r"epoch-(\d+)-(.+)\.keras")


class BestEpoch(keras.callbacks.Callback):
    """Measure the model after each epoch, and keep the best one.

    A file holds epoch and accuracy in its name, so that both are there or neither. The one before stays until
    the next epoch begins: then there is a checkpoint of this one, and a run that resumes finds the best of the
    epochs that it does not repeat.

    Args:
        folder: where to keep it.
        measure: from the model to its accuracy.
        steps: of an epoch; one that was stopped before is not measured.
    """

    def __init__(
        self,
        folder: str | Path,
        measure: Callable[[keras.Model], float],
        steps: int,
    ):
        super().__init__()
        self.folder, self.measure, self.steps = Path(folder), measure, steps

    def found(self) -> tuple[int, float, Path] | None:
        """Return the best epoch so far, counted from 1, its accuracy and its file."""
        files = self._files()
        return files[-1] if files else None

    def on_train_begin(self, logs=None):
        done = steps_taken(self.model) // self.steps
        for epoch, _, file in self._files():
            if epoch > done:  # will be measured again
                file.unlink()

    def on_epoch_begin(self, epoch, logs=None):
        for _, _, file in self._files()[:-1]:
            file.unlink()

    def on_epoch_end(self, epoch, logs=None):
        if steps_taken(self.model) != (epoch + 1) * self.steps:
            logs["val_accuracy"] = float("nan")
            return
        accuracy = float(self.measure(self.model))
        logs["val_accuracy"] = accuracy
        best = self.found()
        if best is None or accuracy > best[1]:
            save_model(self.model, self.folder / f"epoch-{epoch + 1:06d}-{accuracy!r}.keras")

    def _files(self) -> list[tuple[int, float, Path]]:
        named = ((path, _NAME.fullmatch(path.name)) for path in self.folder.glob("epoch-*.keras"))
        return sorted((int(m[1]), float(m[2]), path) for path, m in named if m)
