"""End a run cleanly on Ctrl-C and on SIGTERM (preemption)."""

import signal

import keras


class StopOnSignal(keras.callbacks.Callback):
    """On SIGINT or SIGTERM finish the running step, then stop training.

    A second signal acts as usual. After training, `received` is the signal's number or None.

    Args:
        largest: what makes of a number the largest of all processes of a run, `Distribution.largest`: then all
            stop at the same step, whichever of them was told to.

    Example:
        >>> from bod_keras.training import StopOnSignal
        >>> StopOnSignal().received is None
        True
    """

    signals = (signal.SIGINT, signal.SIGTERM)

    def __init__(self, largest=None):
        super().__init__()
        self.largest = largest
        self.received = None
        self._previous = {}

    def on_train_begin(self, logs=None):
        for number in self.signals:
            self._previous[number] = signal.signal(number, self._receive)

    def on_train_batch_end(self, batch, logs=None):
        if self.largest is not None:
            self.received = self.largest(self.received or 0) or None
        if self.received is not None:
            self.model.stop_training = True

    def on_train_end(self, logs=None):
        self._restore()

    def _receive(self, number, frame):
        self.received = number
        self._restore()
        print(f"\n{signal.Signals(number).name}: stopping after this step ...", flush=True)

    def _restore(self):
        for number, handler in self._previous.items():
            signal.signal(number, handler)
        self._previous = {}
