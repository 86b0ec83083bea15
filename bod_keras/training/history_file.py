"""The run's losses and monitors as a CSV file."""

from __future__ import annotations

import csv
import math
import os
import time
from collections.abc import Mapping
from pathlib import Path

import keras

from bod_keras.storage.atomic_file import atomic_file
from bod_keras.training.model import steps_taken


class HistoryFile(keras.callbacks.Callback):
    """Write one row for each epoch: epoch, step, seconds since the start of training, learning rate, all logs.

    A resumed run continues the same file; rows of steps that it repeats are replaced. A value that was not
    logged in an epoch is nan.

    Args:
        path: the CSV file.

    Example:
        >>> import pathlib, tempfile, keras, numpy as np
        >>> from bod_keras.training import HistoryFile
        >>> path = pathlib.Path(tempfile.mkdtemp()) / "history.csv"
        >>> model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
        >>> model.compile("sgd", "mse")
        >>> x = np.zeros((4, 2))
        >>> _ = model.fit(x, x[:, :1], callbacks=[HistoryFile(path)], verbose=0)
        >>> path.read_text().splitlines()[0]
        'epoch,step,seconds,learning_rate,loss'
    """

    def __init__(self, path: str | os.PathLike):
        super().__init__()
        self.path = Path(path)
        self._rows = None

    @staticmethod
    def summary(path: str | os.PathLike) -> dict[str, dict[str, float]]:
        """Return first, last, smallest and largest value of each column: ``{name: {"first": ...}}``."""
        with open(path, newline="", encoding="utf-8") as file:
            rows = list(csv.DictReader(file))
        columns = {name: [float(row[name]) for row in rows] for name in rows[0]}
        logged = {name: [x for x in v if math.isfinite(x)] or v for name, v in columns.items()}
        return {
            name: {"first": v[0], "last": v[-1], "smallest": min(v), "largest": max(v)}
            for name, v in logged.items()
            if name not in ("epoch", "step", "seconds")
        }

    def on_train_begin(self, logs: Mapping[str, float] | None = None) -> None:
        if self._rows is None:
            done = steps_taken(self.model)
            self._rows = [row for row in self._read() if int(row["step"]) <= done]
            before = float(self._rows[-1]["seconds"]) if self._rows else 0.0
            self._started = time.perf_counter() - before

    def on_epoch_end(self, epoch: int, logs: Mapping[str, float] | None = None) -> None:
        row = {
            "epoch": epoch + 1,
            "step": steps_taken(self.model),
            "seconds": round(time.perf_counter() - self._started, 1),
            "learning_rate": float(keras.ops.convert_to_numpy(self.model.optimizer.learning_rate)),
        }
        self._rows.append(row | {name: float(value) for name, value in (logs or {}).items()})
        with atomic_file(self.path) as part, open(part, "w", newline="", encoding="utf-8") as file:
            names = dict.fromkeys(name for row in self._rows for name in row)
            writer = csv.DictWriter(file, list(names), restval="nan")
            writer.writeheader()
            writer.writerows(self._rows)

    def _read(self):
        if not self.path.exists():
            return []
        with open(self.path, newline="", encoding="utf-8") as file:
            return list(csv.DictReader(file))
