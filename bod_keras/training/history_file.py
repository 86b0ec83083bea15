"""The run's losses and monitors as a CSV file."""

from __future__ import annotations

import csv
import io
import math
import os
import time
from collections.abc import Mapping
from pathlib import Path

import keras

from bod_keras.storage.atomic_file import atomic_file, set_aside
from bod_keras.storage.regular_file import regular_file
from bod_keras.training.model import steps_taken


class HistoryFile(keras.callbacks.Callback):
    """Write one row for each epoch: epoch, step, seconds since the start of training, learning rate, all logs.

    A resumed run continues the same file; rows of steps that it repeats are replaced. An epoch that it
    completes has one row: metrics are means over all of its steps, all else is the later value. A value that
    was not logged in an epoch is nan. A damaged file is set aside, and what can be read of it is kept.

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
    def rows(path: str | os.PathLike) -> list[dict[str, str]]:
        """Return the rows of a history, those of a damaged one up to the damage; none if there is no file."""
        return _read(Path(path))[0]

    @staticmethod
    def summary(path: str | os.PathLike) -> dict[str, dict[str, float]]:
        """Return first, last, smallest and largest value of each column: ``{name: {"first": ...}}``."""
        rows = HistoryFile.rows(path)
        if not rows:
            return {}
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
            rows, reason = _read(self.path)
            if reason:
                aside = set_aside(self.path)
                print(
                    f"{self.path} is damaged ({reason}): now {aside.name}. {len(rows)} rows are kept."
                )
            self._rows = [row for row in rows if int(row["step"]) <= done]
            before = float(self._rows[-1]["seconds"]) if self._rows else 0.0
            self._started = time.perf_counter() - before

    def on_epoch_end(self, epoch: int, logs: Mapping[str, float] | None = None) -> None:
        row = {
            "epoch": epoch + 1,
            "step": steps_taken(self.model),
            "seconds": round(time.perf_counter() - self._started, 1),
            "learning_rate": float(keras.ops.convert_to_numpy(self.model.optimizer.learning_rate)),
        }
        row |= {name: float(value) for name, value in (logs or {}).items()}
        if self._rows and int(self._rows[-1]["epoch"]) == epoch + 1:
            row = self._joined(self._rows.pop(), row)
        self._rows.append(row)
        with atomic_file(self.path) as part, open(part, "w", newline="", encoding="utf-8") as file:
            names = dict.fromkeys(name for row in self._rows for name in row)
            writer = csv.DictWriter(file, list(names), restval="nan")
            writer.writeheader()
            writer.writerows(self._rows)

    def _joined(self, first, rest):
        """One row of the two that an epoch has which was stopped within."""
        start = int(self._rows[-1]["step"]) if self._rows else 0
        ends = int(first["step"]), rest["step"]
        steps = ends[0] - start, ends[1] - ends[0]
        means = {metric.name for metric in self.model.metrics} & first.keys() & rest.keys()
        values = {name: (float(first[name]), rest[name]) for name in means}
        return rest | {
            name: (one * steps[0] + other * steps[1]) / max(1, sum(steps))
            for name, (one, other) in values.items()
        }


def _read(path: Path) -> tuple[list[dict[str, str]], str | None]:
    """The rows of a history that are whole, and what is wrong with the others or None."""
    rows = []
    try:
        with open(regular_file(path), newline="", encoding="utf-8") as file:
            text = file.read()
        for number, row in enumerate(csv.DictReader(io.StringIO(text, newline="")), start=2):
            int(row["epoch"])
            if int(row["step"]) <= (int(rows[-1]["step"]) if rows else 0):
                return rows, f"line {number} goes back to step {row['step'][:20]}"
            if not 0 <= float(row["seconds"]) < math.inf:
                return rows, f"line {number} has {row['seconds'][:20]} seconds"
            [float(value) for value in row.values()]
            if not text.endswith("\n") and number == len(text.splitlines()):
                return rows, f"line {number} is cut off"
            rows.append(row)
    except FileNotFoundError:
        pass
    except (OSError, ValueError, TypeError, KeyError, csv.Error) as error:
        return rows, f"{type(error).__name__}: {error}"
    return rows, None
