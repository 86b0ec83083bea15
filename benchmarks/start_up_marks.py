"""The callback of benchmarks/start_up.py: it notes when a run gets how far, and ends it after a step."""

import json
import os
import time
from pathlib import Path

import keras


def _now():
    cpu = os.times()
    return [time.time() - float(os.environ["START_UP_BEGAN"]), cpu.user + cpu.system]


_IMPORTED = _now()  # a run makes its callbacks before all else


class Marks(keras.callbacks.Callback):
    def on_train_begin(self, logs=None):
        self._begun = _now()

    def on_train_batch_end(self, batch, logs=None):
        float(logs["loss"])
        Path(os.environ["START_UP_MARKS"]).write_text(json.dumps([_IMPORTED, self._begun, _now()]))
        os._exit(0)
