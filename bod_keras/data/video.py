"""Video file -> frames, with OpenCV: exact seeking, one decoder thread a file, clear errors.

A path may have a scheme (`bod_keras.data.remote`). Storage that does not answer is then a `RemoteError`, not a
`VideoError`: it says nothing of the file.
"""

from __future__ import annotations

import bisect
import functools
import io
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

# FFmpeg inside OpenCV writes up to 127 KB of warnings for one broken file; what is wrong is said
# by VideoError instead. OpenCV reads the variable when it opens the first file.
os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")

import cv2
import numpy as np

from bod_keras.data.remote import is_remote
from bod_keras.data.remote_error import RemoteFileError
from bod_keras.data.remote_file import RemoteFile, remote_size

# OpenCV seeks to a frame so many before the target, and so to the key frame before that one.
_SEEK_MARGIN = 16
# What a seek costs besides, in decoded frames: the decoder starts anew.
_SEEK_COST = 4
# In MPEG transport streams OpenCV's seek lands on wrong frames; these are read from the start.
_NO_SEEK = (".ts", ".mts", ".m2ts")
# A header may promise a few frames too many (edit lists, rounded durations); below this share of
# the promised frames a file counts as truncated.
_WHOLE_SHARE = 0.9
_BUFFER = 2**18  # bytes that OpenCV takes from a remote file at a time


class VideoError(ValueError):
    """A video file that cannot be read, with its path and the reason.

    Args:
        path: the file.
        reason: what is wrong with it, in words.

    Example:

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

    >>> try:
    ...     probe("nowhere.mp4")
    ... except VideoError as error:
    ...     print(error)
    nowhere.mp4: there is no such file
    """
    with _opened(path) as capture:
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

    >>> count_frames("walk.mp4")  # doctest: +SKIP
    240
    """
    with _opened(path) as capture:
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

    >>> frame_times("walk.mp4")[:3]  # doctest: +SKIP
    array([0.  , 0.04, 0.08])
    """
    with _opened(path) as capture:
        times = []
        while capture.grab():
            times.append(capture.get(cv2.CAP_PROP_POS_MSEC) / 1000)
        return np.array(times)


def readable_frames(path: str | os.PathLike) -> int:
    """Give the number of frames that may be asked of `read_frames`.

    That is the header's count if seeking to the last two frames it promises finds exactly two (in a
    truncated file OpenCV gives none, or a single wrong one), else the counted frames.

    Args:
        path: a video file.

    Returns:
        The number of frames, at least 1.

    Raises:
        VideoError: as `probe`; or if the file holds less than 90 % of the promised frames.

    Example:

    >>> readable_frames("walk.mp4")  # doctest: +SKIP
    240
    """
    promised = probe(path).frames
    count, _ = _extent(path)
    if count == 0:
        raise VideoError(os.fspath(path), "not one frame can be decoded")
    if count < _WHOLE_SHARE * promised:
        raise VideoError(
            os.fspath(path),
            f"truncated: the header promises {promised} frames, only {count} can be decoded",
        )
    return count


def read_frames(
    path: str | os.PathLike,
    indices: Sequence[int] | None = None,
    cut: Callable[[np.ndarray, int], np.ndarray] | None = None,
) -> np.ndarray:
    """Decode frames of a video file, exactly those that were asked for.

    In one pass, from the first frame asked for to the last: seeks where that means fewer frames to
    decode (from the key frame before), if the file was found to be seekable to the frame (some
    containers only store times, from which OpenCV guesses frame numbers); else steps.

    Args:
        path: a video file.
        indices: frame numbers, counted from 0, in any order and with repetitions; None for all
            frames that can be decoded.
        cut: called as `cut(frame, row)` with a frame `(height, width, 3)`, BGR, and its place in
            `indices`; the image that it gives, all of one size, is kept in the frame's place. It must be
            a copy. Cutting out and shrinking here saves most of the memory traffic of large frames.

    Returns:
        uint8 array `(len(indices), height, width, 3)`, RGB.

    Raises:
        VideoError: as `probe`; or if a frame asked for cannot be decoded.
        ValueError: if `indices` is empty, negative or not a list of integers.

    Example:

    >>> read_frames("walk.mp4", [10, 0, 10]).shape  # doctest: +SKIP
    (3, 240, 320, 3)
    """
    if indices is None:
        return _read_all(path)
    wanted = np.asarray(indices)
    if wanted.ndim != 1 or not wanted.size or wanted.dtype.kind not in "iu" or wanted.min() < 0:
        raise ValueError(
            "indices must be a non-empty list of integers >= 0, or None for all frames. "
            f"Received: indices={indices!r}"
        )
    out, frame = None, None
    position = 0
    with _opened(path) as capture:
        for target in np.unique(wanted).tolist():
            if _is_seek_cheaper(path, position, target):
                capture.set(cv2.CAP_PROP_POS_FRAMES, target)
                position = target
            while position < target and capture.grab():
                position += 1
            # Into the memory of the frame before.
            arrived, frame = capture.read(frame) if position == target else (False, None)
            if not arrived:
                promised = int(capture.get(cv2.CAP_PROP_FRAME_COUNT))
                raise VideoError(
                    os.fspath(path),
                    f"frame {target} cannot be decoded (the header promises {promised} frames); "
                    "the file is truncated or damaged",
                )
            position += 1
            for row in np.flatnonzero(wanted == target).tolist():
                image = frame if cut is None else cut(frame, row)
                if out is None:
                    out = np.empty((len(wanted), *image.shape), np.uint8)
                cv2.cvtColor(image, cv2.COLOR_BGR2RGB, dst=out[row])
    return out


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

    >>> sum(1 for _ in iterate_frames("walk.mp4"))  # doctest: +SKIP
    240
    """
    with _opened(path) as capture:
        while True:
            arrived, frame = capture.read()
            if not arrived:
                return
            yield cv2.cvtColor(frame, cv2.COLOR_BGR2RGB)


def _extent(path: str | os.PathLike) -> tuple[int, bool]:
    """Number of decodable frames, and whether seeking lands on the frame asked for."""
    return _measured_extent(*_state(path))


def _state(path: str | os.PathLike) -> tuple[str, int, int]:
    """Name, size and time of change of a file; remote ones do not change while they are read."""
    if is_remote(path):
        return os.fspath(path), remote_size(os.fspath(path)), 0
    name = os.path.abspath(path)
    state = os.stat(name)
    return name, state.st_size, state.st_mtime_ns


@functools.lru_cache(maxsize=2**20)  # a few hundred bytes each
def _measured_extent(name: str, size: int, changed: int) -> tuple[int, bool]:
    """`_extent` of a file in one state; size and time of change are there as the cache's key."""
    if name.lower().endswith(_NO_SEEK):
        return count_frames(name), False
    promised = probe(name).frames
    if _ends_after(name, promised):
        return promised, True
    count = count_frames(name)
    return count, _ends_after(name, count)


def _is_seek_cheaper(path: str | os.PathLike, position: int, target: int) -> bool:
    """Say whether fewer frames are decoded by seeking to `target` than by stepping to it."""
    if target - position <= _SEEK_MARGIN or not _extent(path)[1]:
        return False
    if is_remote(path):  # looking for the key frames would fetch the whole file
        return True
    keys = _key_frames(*_state(path))
    before = bisect.bisect_right(keys, max(0, target - _SEEK_MARGIN)) - 1
    return keys[max(0, before)] > position + _SEEK_COST


@functools.lru_cache(maxsize=2**16)
def _key_frames(name: str, size: int, changed: int) -> tuple[int, ...]:
    """Numbers of the key frames, by reading the file's packets without decoding them.

    They count packets, which the file may hold in another order than frames are shown in: a few
    frames off does not matter to the choice between seeking and stepping.
    """
    keys, number = [0], 0
    with _opened(name, raw=True) as capture:
        while capture.grab():
            if number and capture.get(cv2.CAP_PROP_LRF_HAS_KEY_FRAME):
                keys.append(number)
            number += 1
    return tuple(keys)


def _ends_after(path: str, count: int) -> bool:
    """Say whether seeking to the last two of `count` frames finds these two and no more."""
    tail = min(2, count)
    with _opened(path) as capture:
        capture.set(cv2.CAP_PROP_POS_FRAMES, count - tail)
        return count > 0 and all(capture.grab() for _ in range(tail)) and not capture.grab()


def _read_all(path: str | os.PathLike) -> np.ndarray:
    frames = list(iterate_frames(path))
    if not frames:
        raise VideoError(os.fspath(path), "not one frame can be decoded")
    return np.stack(frames)


@contextmanager
def _opened(path: str | os.PathLike, raw: bool = False) -> Iterator[cv2.VideoCapture]:
    """Open a file to decode frames, or (raw) to step through its undecoded packets."""
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
