"""What one process does for `write_shards`: measure a video, write one shard."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import cv2
import numpy as np

from bod_keras.atomic_file import atomic_file
from bod_keras.data.open_store import open_store
from bod_keras.data.record import Record
from bod_keras.data.tfrecord import encode_example, write_record
from bod_keras.data.video import VideoError


@dataclass(frozen=True)
class ShardSettings:
    """What decides the content of shards.

    Args:
        short_side: height or width of the frames, whichever is less, in pixels; smaller videos are
            not enlarged.
        quality: of the JPEG images, 1 to 100.
        chunk: frames of a record.
        shard_mb: size of a shard that is aimed at, in MiB.
        fps: frames a second of folders of frames, or None if it is not known.

    Raises:
        ValueError: if one is out of range.

    Example:

    >>> ShardSettings(short_side=112).quality
    90
    """

    short_side: int = 128
    quality: int = 90
    chunk: int = 32
    shard_mb: float = 128.0
    fps: float | None = None

    def __post_init__(self):
        for name in ("short_side", "quality", "chunk"):
            if getattr(self, name) < 1:
                raise ValueError(
                    f"{name} must be at least 1. Received: {name}={getattr(self, name)}"
                )
        if self.quality > 100:
            raise ValueError(f"quality must be at most 100. Received: quality={self.quality}")
        for name, value in (("shard_mb", self.shard_mb), ("fps", self.fps)):
            if value is not None and not value > 0:
                raise ValueError(f"{name} must be above 0. Received: {name}={value}")


def measure_video(record: Record, settings: ShardSettings) -> dict:
    """Find out what a video will be in a shard.

    Args:
        record: the video.
        settings: of the shards.

    Returns:
        Its number of `frames`, `fps`, `height` and `width` in the shard, and estimated `bytes`; or
        the `reason` why it cannot be read.

    Example:

    >>> measure_video(Record("nowhere.mp4"), ShardSettings())
    {'reason': 'there is no such file'}
    """
    store = open_store([record], fps=settings.fps)
    try:
        length = store.length(record.path)
        (frame,) = store.frames(record.path, np.array([length // 2]))
    except VideoError as error:
        return {"reason": error.reason}
    frame = _shrink(frame, settings.short_side)
    return {
        "frames": length,
        "fps": store.fps(record.path),
        "height": frame.shape[0],
        "width": frame.shape[1],
        "bytes": length * len(_jpeg(frame, settings.quality)),
    }


def write_shard(
    path: Path,
    summary: Path,
    videos: list[dict],
    records: list[Record],
    settings: ShardSettings,
    count: Callable[[int], None],
) -> None:
    """Write one shard, and when it is whole on the disk a summary of what is in it.

    Args:
        path: of the TFRecord file.
        summary: of the JSON file.
        videos: entries of the manifest, without `offsets`.
        records: the video behind each entry.
        settings: of the shard.
        count: called with the number of frames that were dealt with, again and again.

    Raises:
        OSError: if a file cannot be written.
    """
    offsets, skipped = {}, {}
    digest, size = hashlib.sha256(), 0
    with atomic_file(path) as part, open(part, "wb") as stream:
        for video, record in zip(videos, records):
            before = digest.copy(), size
            places, done = [], 0
            try:
                for frames, message in _chunks(video, record, settings):
                    places.append(size)
                    size += write_record(_Hashed(stream, digest), message)
                    done += frames
                    count(frames)
                offsets[video["key"]] = places
            except VideoError as error:
                skipped[video["key"]] = error.reason
                digest, size = before
                stream.seek(size)
                stream.truncate()
                count(video["frames"] - done)
    report = {"bytes": size, "sha256": digest.hexdigest(), "offsets": offsets, "skipped": skipped}
    with atomic_file(summary) as part:
        part.write_text(json.dumps(report), encoding="utf-8")


class _Hashed:
    """A stream that takes what it writes into a digest."""

    def __init__(self, stream: BinaryIO, digest):
        self._stream, self._digest = stream, digest

    def write(self, data: bytes) -> None:
        self._digest.update(data)
        self._stream.write(data)


def _chunks(video: dict, record: Record, settings: ShardSettings) -> Iterator[tuple[int, bytes]]:
    """Number of frames and message of each record of a video; docs/shards.md has the schema."""
    shared = {
        "video/key": [os.fsencode(video["key"])],
        "video/frames": [video["frames"]],
        "video/fps": [] if video["fps"] is None else [video["fps"]],
        "video/labels": video["labels"],
        "image/height": [video["height"]],
        "image/width": [video["width"]],
    }
    images, start = [], 0
    store = open_store([record], fps=settings.fps)
    for frame in store.stream(record.path):
        images.append(_jpeg(_shrink(frame, settings.short_side), settings.quality))
        if len(images) == settings.chunk or start + len(images) == video["frames"]:
            yield (
                len(images),
                encode_example({**shared, "chunk/start": [start], "image/encoded": images}),
            )
            start += len(images)
            images = []
    if start != video["frames"]:
        raise VideoError(record.path, f"only {start} of {video['frames']} frames were there")


def _shrink(frame: np.ndarray, short_side: int) -> np.ndarray:
    height, width = frame.shape[:2]
    if min(height, width) <= short_side:
        return frame
    scale = short_side / min(height, width)
    # The averaging filter: others alias when they shrink.
    return cv2.resize(
        frame, (round(width * scale), round(height * scale)), None, 0, 0, cv2.INTER_AREA
    )


def _jpeg(frame: np.ndarray, quality: int) -> bytes:
    bgr = cv2.cvtColor(frame, cv2.COLOR_RGB2BGR)
    return cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, quality])[1].tobytes()
