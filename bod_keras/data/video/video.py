"""Video file -> frames, exactly those that were asked for, with clear errors."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator, Sequence

import numpy as np

from bod_keras.data.video.video_file import VideoError, VideoInfo, decoder_errors, opened
from bod_keras.data.video.video_index import WHOLE_SHARE, VideoIndex, video_index
from bod_keras.errors import UserError

# What a seek costs besides, in decoded frames: the decoder starts anew.
_SEEK_COST = 4


def probe(path: str | os.PathLike) -> VideoInfo:
    """Describe a video file.

    Args:
        path: a video file.

    Returns:
        Its `VideoInfo`, of frames as `read_frames` gives them. The frame count is what the file promises; see
        `readable_frames`.

    Raises:
        VideoError: if the file is missing, empty, or holds no video that FFmpeg can decode.

    Example:
        >>> from bod_keras.data import VideoError, probe
        >>> try:
        ...     probe("nowhere.mp4")
        ... except VideoError as error:
        ...     print(error)
        nowhere.mp4: there is no such file
    """
    index = video_index(path)
    return VideoInfo(index.promised, index.fps, *index.picture.shape)


def readable_frames(path: str | os.PathLike) -> int:
    """Give the number of frames that may be asked of `read_frames`, which is that of `iterate_frames`.

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
    index = video_index(path)
    if index.count < WHOLE_SHARE * index.promised:
        raise VideoError(
            os.fspath(path),
            f"truncated: the file promises {index.promised} frames, only {index.count} can be "
            f"decoded ({index.codec})",
        )
    return index.count


def count_frames(path: str | os.PathLike) -> int:
    """Count the frames that can really be decoded, by decoding the whole file.

    Args:
        path: a video file.

    Returns:
        The count.

    Raises:
        VideoError: as `probe`.

    Example:
        >>> from bod_keras.data import count_frames
        >>> count_frames("walk.mp4")  # doctest: +SKIP
        240
    """
    index = video_index(path)
    with opened(path) as video:
        return sum(1 for _ in index.numbered(video))


def frame_times(path: str | os.PathLike) -> np.ndarray:
    """Give the times at which the frames of a file are shown.

    Args:
        path: a video file.

    Returns:
        float64 array `(frames,)` of seconds. 0 is the start of the file, which sound may begin before the
        pictures.

    Raises:
        VideoError: as `probe`; or if the file holds neither times nor a frame rate.

    Example:
        >>> from bod_keras.data import frame_times
        >>> frame_times("walk.mp4")[:3]  # doctest: +SKIP
        array([0.  , 0.04, 0.08])
    """
    times = video_index(path).times
    if times is None:
        raise VideoError(os.fspath(path), "it has no frame rate, which times in seconds need")
    return times


def iterate_frames(path: str | os.PathLike) -> Iterator[np.ndarray]:
    """Decode a video file from its start, one frame in memory at a time.

    Args:
        path: a video file.

    Yields:
        uint8 arrays `(height, width, 3)`, RGB, all of one size.

    Raises:
        VideoError: as `probe`; or if a frame cannot be decoded.

    Example:
        >>> from bod_keras.data import iterate_frames
        >>> sum(1 for _ in iterate_frames("walk.mp4"))  # doctest: +SKIP
        240
    """
    index, reformatters = video_index(path), {}
    for number, frame in _step(path):
        yield _array(path, index, number, frame, reformatters)


def check_frames(path: str | os.PathLike) -> None:
    """Decode a video file to its end.

    Raises:
        VideoError: as `readable_frames`; or if a frame cannot be decoded.
    """
    readable_frames(path)
    for _ in _step(path):
        pass


def _step(path: str | os.PathLike) -> Iterator[tuple]:
    """Decode every frame of a file, or raise `VideoError` at the first that cannot be."""
    index, expected = video_index(path), 0
    with opened(path) as video:
        for number, frame in index.numbered(video):
            if number != expected:
                break
            yield number, frame
            expected += 1
    if expected < index.count:
        raise _no_frame(path, index, expected)


def read_frames(
    path: str | os.PathLike,
    indices: Sequence[int] | None = None,
    cut: Callable[[np.ndarray, int], np.ndarray] | None = None,
) -> np.ndarray:
    """Decode frames of a video file, exactly those that were asked for.

    In one pass, from the first frame asked for to the last: from the key frame before it where that means fewer
    frames to decode. A frame is known by the packet it was in, so what comes is frame `n` of `iterate_frames`,
    also at a variable rate. Frames are upright (the header's rotation is applied), have square pixels, and the
    size of the first frame if the size changes within the file.

    Args:
        path: a video file.
        indices: frame numbers, counted from 0, in any order and with repetitions; None for all
            frames that can be decoded.
        cut: called as `cut(frame, row)` with a frame `(height, width, 3)`, RGB, and its place in
            `indices`; the image that it gives, all of one size, is kept in the frame's place. Cutting out and
            shrinking here saves most of the memory traffic of large frames.

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
        return np.stack(list(iterate_frames(path)))
    wanted = np.asarray(indices)
    if wanted.ndim != 1 or not wanted.size or wanted.dtype.kind not in "iu" or wanted.min() < 0:
        raise UserError(
            "indices must be a non-empty list of integers >= 0, or None for all frames. "
            f"Received: indices={indices!r}"
        )
    index, reformatters, out = video_index(path), {}, None
    if wanted.max() >= index.count:
        raise _no_frame(path, index, int(wanted.max()))
    for number, frame in _pick(path, index, np.unique(wanted).tolist()):
        image = _array(path, index, number, frame, reformatters)
        for row in np.flatnonzero(wanted == number).tolist():
            part = image if cut is None else cut(image, row)
            if out is None:
                out = np.empty((len(wanted), *part.shape), np.uint8)
            out[row] = part
    return out


def _pick(path, index: VideoIndex, targets: list[int]) -> Iterator[tuple]:
    """Decode the frames of ascending numbers."""
    with contextlib.ExitStack() as stack:
        video = stack.enter_context(opened(path))
        frames, following, seeks = iter(()), -1, True  # nothing is being decoded yet
        for target in targets:
            key = index.key_before(target) if seeks else None
            begin = key.number if key else 0
            if following < 0 or begin > following + _SEEK_COST:
                frames = index.numbered(video, key if begin else None)
            number, frame = next((f for f in frames if f[0] >= target), (None, None))
            if number != target and seeks and begin:  # not where it should be: from the start, then
                frames, seeks = index.numbered(stack.enter_context(opened(path))), False
                number, frame = next((f for f in frames if f[0] >= target), (None, None))
            if number != target:
                raise _no_frame(path, index, target)
            following = number + 1
            yield number, frame


def _array(path, index: VideoIndex, number: int, frame, reformatters: dict) -> np.ndarray:
    with decoder_errors(os.fspath(path), f"frame {number} cannot be decoded: {index.codec}"):
        return index.picture.array(frame, reformatters)


def _no_frame(path, index: VideoIndex, number: int) -> VideoError:
    if number < index.count:
        reason = f"frame {number} of {index.count} cannot be decoded ({index.codec}): it is damaged"
    else:
        reason = (
            f"frame {number} cannot be decoded ({index.codec}): the file has {index.count} frames"
        )
    return VideoError(os.fspath(path), reason)
