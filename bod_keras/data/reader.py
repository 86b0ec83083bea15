"""Where names were in version 0.1: they are in `bod_keras.data` now, and go from here with version 0.3."""

import warnings

from bod_keras.data.loading import reader
from bod_keras.data.loading.reader import Task  # noqa: F401


class ClipReader:
    """A `ClipReader` that holds its records, with the arguments of 0.1."""

    def __init__(self, records, frames, stride, seed, *rest):
        self.records = records
        self._reader = reader.ClipReader(frames, stride, seed, *rest[-3:])

    def read(self, task, out):
        """Read one sample, as `ClipReader.read`."""
        return self._reader.read(self.records[task.index], task, out)


warnings.warn(
    "bod_keras.data.reader is bod_keras.data.loading.reader since 0.2.0",
    DeprecationWarning,
    stacklevel=2,
)
