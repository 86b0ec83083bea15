"""Where names were in version 0.1: they are in `bod_keras.data` now, and go from here with version 0.3."""

import warnings

from bod_keras.data.loading import reader
from bod_keras.data.loading.reader import Task  # noqa: F401


def ClipReader(records, frames, stride, seed, *rest):  # noqa: N802
    """Make a `ClipReader`; what 0.1 took between the seed and the last three arguments is gone."""
    return reader.ClipReader(records, frames, stride, seed, *rest[-3:])


warnings.warn(
    "bod_keras.data.reader is bod_keras.data.loading.reader since 0.2.0",
    DeprecationWarning,
    stacklevel=2,
)
