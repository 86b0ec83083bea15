"""A progress bar over the whole run, and the time of a step."""

from __future__ import annotations

import statistics
import sys
import threading
import time
from collections.abc import Mapping

import keras

from bod_keras.progress_bar import progress_bar

# A first step that takes longer is announced.
_PATIENCE = 1.5  # seconds


class Progress(keras.callbacks.Callback):
    """Show steps done, the time left for the whole run, and the losses; measure seconds per step.

    Where the backend compiles, a line says so while the first step takes longer than a second or two.

    Args:
        total: steps of the whole run.
        done: steps of it that were done before, in a resumed run.
        show: whether to show it, or only to measure.

    Attributes:
        seconds_per_step: median over the run's steps so far, nan before the third one (the first ones
            compile).
    """

    def __init__(self, total: int, done: int = 0, show: bool = True):
        super().__init__()
        self.total = total
        self.done = done
        self.show = show
        self._times = []
        self._bar = None
        self._timer = None

    @property
    def seconds_per_step(self) -> float:
        times = self._times[2:]
        return statistics.median(times) if times else float("nan")

    def on_train_begin(self, logs: Mapping[str, float] | None = None) -> None:
        self._bar = progress_bar(self.total, unit="step", disable=not self.show, initial=self.done)

    def on_train_batch_begin(self, batch: int, logs: Mapping[str, float] | None = None) -> None:
        self._started = time.perf_counter()
        if self.show and not self._times and keras.backend.backend() != "torch":
            line = "Compiling the first step ..."
            self._timer = threading.Timer(_PATIENCE, self._bar.write, (line, sys.stderr))
            self._timer.daemon = True
            self._timer.start()

    def on_train_batch_end(self, batch: int, logs: Mapping[str, float] | None = None) -> None:
        self._times.append(time.perf_counter() - self._started)
        self._stop_timer()
        losses = {
            name.removesuffix("_loss"): f"{float(value):.3f}"
            for name, value in (logs or {}).items()
            if name.endswith("loss")
        }
        self._bar.set_postfix(losses, refresh=False)
        self._bar.update()
        self.done += 1

    def on_train_end(self, logs: Mapping[str, float] | None = None) -> None:
        self._stop_timer()
        self._bar.close()

    def _stop_timer(self):
        if self._timer is not None:
            self._timer.cancel()
            self._timer.join()
            self._timer = None
