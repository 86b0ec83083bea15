"""The best epoch of a run, by a column of its history."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Mapping
from pathlib import Path

import keras

from bod_keras.errors import check_choice
from bod_keras.training.history_file import HistoryFile
from bod_keras.training.model import steps_taken


class KeepBest(keras.callbacks.Callback):
    """Save the model whenever a logged number is better than ever before, and stop when that no longer happens.

    Higher is better, and lower of a name that ends in "loss". An epoch that did not log it does not count. A
    resumed run finds what was best in its history. Put it behind what logs the number.

    Args:
        path: file that is written, by `save`.
        monitor: the name of a logged number, a column of the history, such as ``"linear_static"``.
        history: ``history.csv`` of the run.
        save: function of the model and the path.
        patience: stop after this many measurements that were not better; 0: never.

    Raises:
        UserError: by the end of the first epoch, no such number is logged.

    Example:
        >>> import pathlib, tempfile, keras, numpy as np
        >>> from bod_keras.training import KeepBest, save_model
        >>> folder = pathlib.Path(tempfile.mkdtemp())
        >>> model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
        >>> model.compile("sgd", "mse")
        >>> best = KeepBest(folder / "best.keras", "loss", folder / "history.csv", save_model)
        >>> _ = model.fit(np.ones((4, 2)), np.zeros((4, 1)), epochs=2, callbacks=[best], verbose=0)
        >>> best.best[0]
        2
    """

    def __init__(
        self,
        path: str | os.PathLike,
        monitor: str,
        history: str | os.PathLike,
        save: Callable[[keras.Model, Path], None],
        patience: int = 0,
    ):
        super().__init__()
        self.path, self.monitor, self.history = Path(path), monitor, Path(history)
        self.patience = patience
        self._save = save
        self.best: tuple[int, float] | None = None  # epoch, from 1, and value
        self._since = 0
        self._known = False

    def on_train_begin(self, logs: Mapping[str, float] | None = None) -> None:
        self.best, self._since = None, 0
        done = steps_taken(self.model)
        for row in HistoryFile.rows(self.history):
            if int(row["step"]) <= done:
                self._count(int(row["epoch"]), float(row.get(self.monitor, "nan")))

    def on_epoch_end(self, epoch: int, logs: Mapping[str, float] | None = None) -> None:
        logs = logs or {}
        if not self._known and not self.model.stop_training:  # one that is cut short may log less
            if self.best is None:
                check_choice("The monitored number", self.monitor, sorted(logs))
            self._known = True
        value = float(logs.get(self.monitor, math.nan))
        if self._count(epoch + 1, value):
            self._save(self.model, self.path)
        elif self.patience and self._since >= self.patience and not math.isnan(value):
            self.model.stop_training = True
            print(
                f"\nStopped after epoch {epoch + 1}: {self.monitor} was best after epoch {self.best[0]} "
                f"({self.best[1]:.4g}), and {self._since} measurements since were not better."
            )

    def _count(self, epoch, value):
        """Whether a measurement is the best so far."""
        if math.isnan(value):
            return False
        sign = -1 if self.monitor.endswith("loss") else 1
        better = self.best is None or sign * value > sign * self.best[1]
        self.best, self._since = ((epoch, value), 0) if better else (self.best, self._since + 1)
        return better
