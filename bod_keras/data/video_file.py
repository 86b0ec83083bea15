"""Where names were in version 0.1: they are in `bod_keras.data` now, and go from here with version 0.3."""

import warnings

from bod_keras.data.video import VideoError, iterate_frames, read_frames  # noqa: F401

warnings.warn(
    "bod_keras.data.video_file is bod_keras.data.video since 0.2.0",
    DeprecationWarning,
    stacklevel=2,
)
