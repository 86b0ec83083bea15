"""What the operating system says of a video file, as a `VideoError`."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from bod_keras.data.video.video_file import VideoError


@contextlib.contextmanager
def video_errors(path: str) -> Iterator[None]:
    """While the block runs, raise `VideoError` in the place of the system's own errors.

    Args:
        path: of the video that is read.

    Raises:
        VideoError: if the system says that the file cannot be read.
        OSError: of remote storage that does not answer, as it came: that is no fault of the file.

    Example:

    >>> from bod_keras.data.video.video_errors import video_errors
    >>> with video_errors("a.mp4"):
    ...     open("nowhere/a.mp4")
    Traceback (most recent call last):
    bod_keras.data.video.video_file.VideoError: a.mp4: no such file or directory
    """
    try:
        yield
    except OSError as error:
        if error.errno is None:
            raise
        raise VideoError(path, (error.strerror or str(error)).lower()) from error
