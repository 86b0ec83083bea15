"""How far a video file can be decoded, and where seeking in it is exact and worth its cost."""

from __future__ import annotations

import bisect
import functools
import os

import cv2

from bod_keras.data.video.video_file import count_frames, opened, probe
from bod_keras.storage.remote import is_remote
from bod_keras.storage.remote_file import remote_size

# OpenCV seeks to a frame so many before the target, and so to the key frame before that one.
_SEEK_MARGIN = 16
# What a seek costs besides, in decoded frames: the decoder starts anew.
_SEEK_COST = 4
# In MPEG transport streams OpenCV's seek lands on wrong frames; these are read from the start.
_NO_SEEK = (".ts", ".mts", ".m2ts")


def extent(path: str | os.PathLike) -> tuple[int, bool]:
    """Measure a file, once as long as it stays as it is.

    Args:
        path: a video file.

    Returns:
        Number of frames that can be decoded, and whether seeking lands on the frame asked for.

    Raises:
        VideoError: as `probe`.

    Example:

    >>> from bod_keras.data.video.seeking import extent
    >>> extent("walk.mp4")  # doctest: +SKIP
    (240, True)
    """
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
    """`extent` of a file in one state; size and time of change are there as the cache's key."""
    if name.lower().endswith(_NO_SEEK):
        return count_frames(name), False
    promised = probe(name).frames
    if _ends_after(name, promised):
        return promised, True
    count = count_frames(name)
    return count, _ends_after(name, count)


def is_seek_cheaper(path: str | os.PathLike, position: int, target: int) -> bool:
    """Say whether fewer frames are decoded by seeking than by stepping.

    Args:
        path: a video file.
        position: number of the frame that the decoder would give next.
        target: number of the frame that is wanted.

    Returns:
        Whether to seek; False where seeking is not exact.

    Raises:
        VideoError: as `probe`.

    Example:

    >>> from bod_keras.data.video.seeking import is_seek_cheaper
    >>> is_seek_cheaper("walk.mp4", 0, 200)  # doctest: +SKIP
    True
    """
    if target - position <= _SEEK_MARGIN or not extent(path)[1]:
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
    with opened(name, raw=True) as capture:
        while capture.grab():
            if number and capture.get(cv2.CAP_PROP_LRF_HAS_KEY_FRAME):
                keys.append(number)
            number += 1
    return tuple(keys)


def _ends_after(path: str, count: int) -> bool:
    """Say whether seeking to the last two of `count` frames finds these two and no more."""
    tail = min(2, count)
    with opened(path) as capture:
        capture.set(cv2.CAP_PROP_POS_FRAMES, count - tail)
        return count > 0 and all(capture.grab() for _ in range(tail)) and not capture.grab()
