"""What is wrong with a video: checked by its ends, or by decoding all of it."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator

import numpy as np

from bod_keras.data.video.frame_folder_store import FrameFolderStore
from bod_keras.data.video.frame_folders import frame_names, frame_number
from bod_keras.data.video.video import (
    check_frames,
    count_frames,
    probe,
    readable_frames,
)
from bod_keras.data.video.video_file import VideoError
from bod_keras.data.video.video_index import VideoIndex, video_index
from bod_keras.storage.regular_file import regular_file

# Seconds by which a frame time of a constant rate may be off: .webm and .mkv round them to milliseconds.
_JITTER, _JITTER_SHARE = 0.002, 0.1
# Where an edit or a container's own rounding shows, the rate is still constant.
_ODD, _ODD_SHARE = 3, 0.01
# A frame is missing where this many distances on either side are alike, up to a share, but for a few.
_AROUND, _ALIKE, _FEW = 12, 0.35, 0.125
_LATE = 5  # frames by which the picture may begin after the sound


def check_video(path: str, full: bool = False) -> dict:
    """Say of a video file, or of a folder of frames, whether training can read it.

    Args:
        path: the file or folder.
        full: decode every frame; else the header and the last frames (the first and last image of
            a folder).

    Returns:
        A dict: `state`, "ok", "truncated" or "unreadable"; `reason`, why, or None; `declared` and
        `frames`, the header's number of frames and that of those that can be decoded; `fps`;
        `variable_rate`, or None where that was not looked for; `gaps`, which frames seem to be lost, or None.
        What is not known is None.

    Example:
        >>> from bod_keras.data.video.check import check_video
        >>> check_video("nowhere.mp4")["reason"]
        'No such file or directory'
    """
    result = dict.fromkeys(("reason", "declared", "frames", "fps", "variable_rate", "gaps"))
    try:
        if os.path.isdir(path):
            frames = _check_images(path, full)
            return {**result, "state": "ok", "frames": frames, "gaps": _missing_images(path)}
        with open(regular_file(path), "rb"):
            pass
        info = probe(path)
        result |= {"declared": info.frames, "fps": info.fps}
        result["frames"] = readable_frames(path)
        index = video_index(path)
        times, result["gaps"] = index.times, _gaps(index)
        if full:
            check_frames(path)
            result["variable_rate"] = times is not None and _is_variable(times)
        return {**result, "state": "ok"}
    except OSError as error:
        return {**result, "state": "unreadable", "reason": error.strerror or str(error)}
    except VideoError as error:
        frames = count_frames(path) if result["declared"] is not None else 0
        state = "truncated" if frames else "unreadable"
        return {**result, "state": state, "frames": frames, "reason": error.reason}


def content_hash(path: str) -> str:
    """Hash the content of a file: 40 hexadecimal digits of BLAKE2b.

    Args:
        path: the file.

    Returns:
        The digits.

    Raises:
        OSError: if the file cannot be read.

    Example:
        >>> from bod_keras.data.video.check import content_hash
        >>> import pathlib, tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     path = pathlib.Path(folder, "a.avi")
        ...     _ = path.write_bytes(b"x")
        ...     len(content_hash(path))
        40
    """
    digest = hashlib.blake2b(digest_size=20)
    with open(path, "rb") as stream:
        while block := stream.read(2**20):
            digest.update(block)
    return digest.hexdigest()


def _is_variable(times: np.ndarray) -> bool:
    """Whether more than 1 % of the distances of frames, and more than three, differ from the usual one."""
    return len(_odd(times)) > max(_ODD, _ODD_SHARE * len(times))


def _odd(times: np.ndarray) -> np.ndarray:
    """The numbers of the distances of frames that differ from the usual one."""
    gaps = np.diff(times)
    usual = np.median(gaps) if len(gaps) else 0
    return np.flatnonzero(abs(gaps - usual) > max(_JITTER, _JITTER_SHARE * usual))


def _gaps(index: VideoIndex) -> str | None:
    """Say which frames seem to be missing: packets that were lost, or frames that the camera dropped."""
    said = []
    if index.times is not None and len(index.times) > 1:
        found = list(_holes(np.diff(index.times)))
        if frames := sum(lost for _, lost in found):
            plural = "s" * (frames > 1)
            first = index.times[found[0][0]]
            said.append(f"{frames} frame{plural} missing, the first after {first:.2f} s")
        if index.times[0] > _LATE * np.median(np.diff(index.times)):
            said.append(f"the picture begins {index.times[0]:.2f} s after the file")
    if index.headless:
        first = f"{index.headless} frames lean" if index.headless > 1 else "frame leans"
        said.append(f"the first {first} on others that are not in the file")
    if index.damaged:
        said.append(f"a part of {index.damaged} frame{'s' * (index.damaged > 1)} is missing")
    return "; ".join(said) or None


def _holes(gaps: np.ndarray) -> Iterator[tuple[int, int]]:
    """Give the distances that stand out from those around them, and the frames that each of them lacks.

    Where those around are steady, a distance with missing frames is a whole number of times theirs; where they
    vary, it is only longer than they are. Where they are unlike each other, nothing can be said.
    """
    beside = np.minimum(np.append(gaps[1:], np.inf), np.append(np.inf, gaps[:-1]))
    for n in np.flatnonzero(gaps > 1.5 * beside).tolist():
        around = np.concatenate([gaps[max(0, n - _AROUND) : n], gaps[n + 1 : n + 1 + _AROUND]])
        usual = np.median(around)
        off = abs(around - usual)
        alike = off <= max(_JITTER, _ALIKE * usual)
        if usual <= 0 or alike.sum() < (1 - _FEW) * len(around):
            continue
        lost = round(gaps[n] / usual) - 1
        slack = max(_JITTER, _JITTER_SHARE * usual, 2 * off[alike].max())
        if lost > 0 and abs(gaps[n] - (lost + 1) * usual) <= slack:
            yield n, lost


def _missing_images(folder: str) -> str | None:
    names = frame_names(folder)
    numbers = [frame_number(name) for name in names]
    steps = [after - before for before, after in zip(numbers, numbers[1:])]
    usual = sorted(steps)[len(steps) // 2] if steps else 1
    count = sum(step // usual - 1 for step in steps)
    if not count or any(step % usual for step in steps):
        return None
    first = next(name for name, step in zip(names, steps) if step > usual)
    return f"{count} image{'s' * (count > 1)} missing, the first after {first}"


def _check_images(folder: str, full: bool) -> int:
    store = FrameFolderStore()
    length = store.length(folder)
    frames = store.stream(folder) if full else store.frames(folder, np.array([0, length - 1]))
    if len({frame.shape for frame in frames}) > 1:
        raise VideoError(folder, "the size of the images changes")
    return length
