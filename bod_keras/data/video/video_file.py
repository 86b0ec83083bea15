"""Opening video files with OpenCV, one decoder thread each, and what their headers and frames say.

A path may have a scheme (`bod_keras.storage.remote`). Storage that does not answer is then a `RemoteError`, not
a `VideoError`: it says nothing of the file.
"""

from __future__ import annotations

import io
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

# FFmpeg inside OpenCV writes up to 127 KB of warnings for one broken file; what is wrong is said
# by VideoError instead. OpenCV reads the variable when it opens the first file.
os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")

import cv2
import numpy as np

from bod_keras.storage.remote import is_remote
from bod_keras.storage.remote_error import RemoteFileError
from bod_keras.storage.remote_file import RemoteFile

_BUFFER = 2**18  # bytes that OpenCV takes from a remote file at a time


class VideoError(ValueError):
    """A video file that cannot be read, with its path and the reason.

    Args:
        path: the file.
        reason: what is wrong with it, in words.

    Example:

    >>> from bod_keras.data import VideoError
    >>> error = VideoError("a.mp4", "the file is empty")
    >>> str(error), error.reason
    ('a.mp4: the file is empty', 'the file is empty')
    """

    def __init__(self, path: str, reason: str):
        super().__init__(f"{path}: {reason}")
        self.path = path
        self.reason = reason


@dataclass(frozen=True)
class VideoInfo:
    """What the header of a video file says.

    Args:
        frames: number of frames; an estimate in some containers, 0 if the header does not say.
        fps: frames a second, or None if it is not known.
        height: of a frame, pixels.
        width: of a frame, pixels.

    Example:

    >>> from bod_keras.data import VideoInfo
    >>> VideoInfo(frames=24, fps=12.0, height=32, width=32).frames
    24
    """

    frames: int
    fps: float | None
    height: int
    width: int


def probe(path: str | os.PathLike) -> VideoInfo:
    """Read the header of a video file.

    Args:
        path: a video file.

    Returns:
        Its `VideoInfo`. The frame count is the header's claim; see `readable_frames`.

    Raises:
        VideoError: if the file is missing, empty, or holds no video that OpenCV can decode.

    Example:

    >>> from bod_keras.data import VideoError, probe
    >>> try:
    ...     probe("nowhere.mp4")
    ... except VideoError as error:
    ...     print(error)
    nowhere.mp4: there is no such file
    """
    with opened(path) as capture:
        return VideoInfo(
            frames=max(0, int(capture.get(cv2.CAP_PROP_FRAME_COUNT))),
            fps=float(capture.get(cv2.CAP_PROP_FPS)),
            height=int(capture.get(cv2.CAP_PROP_FRAME_HEIGHT)),
            width=int(capture.get(cv2.CAP_PROP_FRAME_WIDTH)),
        )


def count_frames(path: str | os.PathLike) -> int:
    """Count the frames that can really be decoded, by decoding the whole file.

    Args:
        path: a video file.

    Returns:
        The count; 0 if not even the first frame can be decoded.

    Raises:
        VideoError: as `probe`.

    Example:

    >>> from bod_keras.data import count_frames
    >>> count_frames("walk.mp4")  # doctest: +SKIP
    240
    """
    with opened(path) as capture:
        count = 0
        while capture.grab():
            count += 1
        return count


def frame_times(path: str | os.PathLike) -> np.ndarray:
    """Give the times of the frames that can be decoded, by decoding the whole file.

    Args:
        path: a video file.

    Returns:
        float64 array `(frames,)` of seconds.

    Raises:
        VideoError: as `probe`.

    Example:

    >>> from bod_keras.data import frame_times
    >>> frame_times("walk.mp4")[:3]  # doctest: +SKIP
    array([0.  , 0.04, 0.08])
    """
    with opened(path) as capture:
        times = []
        while capture.grab():
            times.append(capture.get(cv2.CAP_PROP_POS_MSEC) / 1000)
        return np.array(times)


def iterate_frames(path: str | os.PathLike) -> Iterator[np.ndarray]:
    """Decode a video file from its start, one frame in memory at a time.

    Args:
        path: a video file.

    Yields:
        uint8 arrays `(height, width, 3)`, RGB, until the end of the file or the first frame that
        cannot be decoded.

    Raises:
        VideoError: as `probe`.

    Example:

    >>> from bod_keras.data import iterate_frames
    >>> sum(1 for _ in iterate_frames("walk.mp4"))  # doctest: +SKIP
    240
    """
    with opened(path) as capture:
        while True:
            arrived, frame = capture.read()
            if not arrived:
                return
            yield cv2.cvtColor(frame, cv2.COLOR_BGR2RGB)


@contextmanager
def opened(path: str | os.PathLike, raw: bool = False) -> Iterator[cv2.VideoCapture]:
    """Open a file to decode frames, or to step through its packets; closed at the end of the block.

    Args:
        path: a video file.
        raw: whether `grab` steps through undecoded packets.

    Yields:
        The open `cv2.VideoCapture`.

    Raises:
        VideoError: as `probe`.

    Example:

    >>> from bod_keras.data.video.video_file import opened
    >>> with opened("walk.mp4") as capture:  # doctest: +SKIP
    ...     arrived, frame = capture.read()
    """
    name = os.fspath(path)
    remote = _open_remote(name) if is_remote(name) else None
    # What is read from must outlive the capture, or OpenCV crashes: hence a name of its own.
    source = io.BufferedReader(remote, _BUFFER) if remote else _check_local(name)
    # Naming the FFmpeg backend keeps OpenCV from taking "clip%03d.mp4" for a numbered series of
    # images. One decoder thread, because files are read in parallel.
    settings = [cv2.CAP_PROP_FORMAT, -1] if raw else [cv2.CAP_PROP_N_THREADS, 1]
    capture = cv2.VideoCapture(source, cv2.CAP_FFMPEG, settings)
    try:
        if not capture.isOpened():
            raise VideoError(
                name,
                "no video stream that OpenCV can decode (not a video, audio only, or cut off "
                "before its index)",
            )
        yield capture
    finally:
        capture.release()
        if remote and isinstance(remote.error, RemoteFileError):
            raise VideoError(name, remote.error.reason)
        if remote and remote.error is not None:
            raise remote.error


def _open_remote(name: str) -> RemoteFile:
    try:
        stream = RemoteFile(name)
    except RemoteFileError as error:
        raise VideoError(name, error.reason) from None
    if stream.size == 0:
        raise VideoError(name, "the file is empty (0 bytes)")
    return stream


def _check_local(name: str) -> str:
    if not os.path.exists(name):
        raise VideoError(name, "there is no such file")
    if os.path.isdir(name):
        raise VideoError(name, "this is a folder, not a video file")
    if os.path.getsize(name) == 0:
        raise VideoError(name, "the file is empty (0 bytes)")
    if not os.access(name, os.R_OK):
        raise VideoError(name, "permission denied")
    if any("\ud800" <= letter <= "\udfff" for letter in name):  # OpenCV crashes on it
        raise VideoError(name, "the name of the file is not valid UTF-8; rename it")
    # An absolute path, because FFmpeg reads "a:b.mp4" as protocol a.
    return os.path.abspath(name)
