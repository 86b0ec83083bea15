"""Video file -> frames, exactly those that were asked for, with clear errors."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence

import cv2
import numpy as np

from bod_keras.data.video.seeking import extent, is_seek_cheaper
from bod_keras.data.video.video_file import VideoError, iterate_frames, opened, probe
from bod_keras.errors import UserError

# A header may promise a few frames too many (edit lists, rounded durations); below this share of
# the promised frames a file counts as truncated.
WHOLE_SHARE = 0.9


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

    >>> from bod_keras.data import readable_frames
    >>> readable_frames("walk.mp4")  # doctest: +SKIP
    240
    """
    promised = probe(path).frames
    count, _ = extent(path)
    if count == 0:
        raise VideoError(os.fspath(path), "not one frame can be decoded")
    if count < WHOLE_SHARE * promised:
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

    >>> from bod_keras.data import read_frames
    >>> read_frames("walk.mp4", [10, 0, 10]).shape  # doctest: +SKIP
    (3, 240, 320, 3)
    """
    if indices is None:
        return _read_all(path)
    wanted = np.asarray(indices)
    if wanted.ndim != 1 or not wanted.size or wanted.dtype.kind not in "iu" or wanted.min() < 0:
        raise UserError(
            "indices must be a non-empty list of integers >= 0, or None for all frames. "
            f"Received: indices={indices!r}"
        )
    out, frame = None, None
    position = 0
    with opened(path) as capture:
        for target in np.unique(wanted).tolist():
            if is_seek_cheaper(path, position, target):
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


def _read_all(path: str | os.PathLike) -> np.ndarray:
    frames = list(iterate_frames(path))
    if not frames:
        raise VideoError(os.fspath(path), "not one frame can be decoded")
    return np.stack(frames)
