"""End a run cleanly on Ctrl-C and on SIGTERM (preemption)."""

from __future__ import annotations

import signal
from collections.abc import Callable, Mapping
from types import FrameType

import keras


class StopOnSignal(keras.callbacks.Callback):
    """On SIGINT or SIGTERM finish the running step, then stop training.

    A second signal acts as usual. After training, `received` is the signal's number or None.

    Args:
        largest: function from a number to the largest of all processes of a run, `Distribution.largest`: then
            all stop at the same step, whichever of them got the signal.
    """

    signals = (signal.SIGINT, signal.SIGTERM)

    def __init__(self, largest: Callable[[int], int] | None = None):
        super().__init__()
        self.largest = largest
        self.received: int | None = None
        self._previous: dict[int, object] = {}

    def on_train_begin(self, logs: Mapping[str, float] | None = None) -> None:
        for number in self.signals:
            self._previous[number] = signal.signal(number, self._receive)

    def on_train_batch_end(self, batch: int, logs: Mapping[str, float] | None = None) -> None:
        if self.largest is not None:
            self.received = self.largest(self.received or 0) or None
        if self.received is not None:
            self.model.stop_training = True

    def on_train_end(self, logs: Mapping[str, float] | None = None) -> None:
        self._restore()

    def _receive(self, number: int, frame: FrameType | None) -> None:
        self.received = number
        self._restore()
        print(f"\n{signal.Signals(number).name}: stopping after this step ...", flush=True)

    def _restore(self) -> None:
        for number, handler in self._previous.items():
            signal.signal(number, handler)
        self._previous = {}
