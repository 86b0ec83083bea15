"""One video -> the records that it will be in a shard; what a worker process does."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from bod_keras.data.open_store import open_store
from bod_keras.data.record import Record
from bod_keras.data.shards.tfrecord import encode_example, read_records, write_record
from bod_keras.data.video.store import FrameStore
from bod_keras.data.video.video_file import VideoError
from bod_keras.errors import UserError
from bod_keras.storage.atomic_file import atomic_file


@dataclass(frozen=True)
class ShardSettings:
    """What decides the content of shards.

    Args:
        short_side: height or width of the frames, whichever is less, in pixels; smaller videos are
            not enlarged.
        quality: of the JPEG images, 1 to 100.
        chunk: frames of a TFRecord record.
        shard_mb: a shard is filled up to this many MiB; a video is never parted.
        fps: frames a second of folders of frames, or None if it is not known.

    Raises:
        ValueError: if one is out of range.

    Example:
        >>> from bod_keras.data import ShardSettings
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
                raise UserError(
                    f"{name} must be at least 1. Received: {name}={getattr(self, name)}"
                )
        if self.quality > 100:
            raise UserError(f"quality must be at most 100. Received: quality={self.quality}")
        for name, value in (("shard_mb", self.shard_mb), ("fps", self.fps)):
            if value is not None and not value > 0:
                raise UserError(f"{name} must be above 0. Received: {name}={value}")
        if self.fps is not None and not math.isfinite(self.fps):
            raise UserError(f"fps must be a finite number. Received: fps={self.fps}")


@dataclass(frozen=True)
class VideoJob:
    """One video to encode.

    Args:
        record: the video, as its first record names it.
        key: its name in the shards.
        labels: all labels of its records.
        part: where its records go; `<part>.json` says what they are.

    Example:
        >>> from bod_keras.data import Record
        >>> from bod_keras.data.shards.shard_writer import VideoJob
        >>> from pathlib import Path
        >>> VideoJob(Record("videos/a.mp4"), "a.mp4", [3], Path("part")).key
        'a.mp4'
    """

    record: Record
    key: str
    labels: list[int]
    part: Path


def encode_video(job: VideoJob, settings: ShardSettings) -> str | None:
    """Write the TFRecord records of one video to a file of its own, and a summary of it beside.

    Args:
        job: the video.
        settings: of the shards.

    Returns:
        None; or why the disk could not be written, which is no fault of the video.

    Example:
        >>> from bod_keras.data import Record, ShardSettings
        >>> from bod_keras.data.shards.shard_writer import VideoJob, encode_video, read_summary
        >>> from pathlib import Path
        >>> import tempfile
        >>> part = Path(tempfile.mkdtemp(), "part")
        >>> encode_video(VideoJob(Record("nowhere.mp4"), "nowhere.mp4", [], part), ShardSettings())
        >>> read_summary(part)
        {'reason': 'there is no such file'}
    """
    store = open_store([job.record], fps=settings.fps)
    try:
        try:
            summary = _write_records(store, job, settings)
        except VideoError as error:
            summary = {"reason": error.reason}
        write_summary(job.part, summary)
    except OSError as error:
        return str(error)
    return None


def encode_in_worker(job: VideoJob, settings: ShardSettings) -> str | None:
    """As `encode_video`, in a process of its own: OpenCV's threads would be in the others' way."""
    cv2.setNumThreads(1)
    return encode_video(job, settings)


def write_summary(part: Path, summary: dict) -> None:
    """Say what a file of records holds; from then on it counts as finished."""
    with atomic_file(_summary(part)) as temporary:
        temporary.write_text(json.dumps(summary), encoding="utf-8")


def read_summary(part: Path) -> dict | None:
    """Give what `write_summary` wrote: frames, fps, size and offsets, or a reason.

    None if there is nothing, or it is damaged, or the records are: every one is verified by its checksum.
    """
    try:
        summary = json.loads(_summary(part).read_text(encoding="utf-8"))
        if "reason" in summary:
            return summary
        if part.stat().st_size != summary["bytes"]:
            return None
        read_records(part, summary["offsets"])
    except (OSError, ValueError, LookupError, TypeError, RecursionError):
        return None
    return summary


def remove_part(part: Path) -> None:
    """Remove a file of records with its summary, which goes first: alone it would be trusted."""
    _summary(part).unlink(missing_ok=True)
    part.unlink(missing_ok=True)


def _summary(part: Path) -> Path:
    return part.with_name(part.name + ".json")


def _write_records(store: FrameStore, job: VideoJob, settings: ShardSettings) -> dict:
    """Encode the whole video, a chunk in memory at a time; docs/shards.md has the schema."""
    path = job.record.path
    frames, fps = store.length(path), store.fps(path)
    times = [store.times(path).astype("<f8").tobytes()] if fps else []
    offsets, size, shape = [], 0, None
    with atomic_file(job.part) as temporary, open(temporary, "wb") as stream:
        small = (_shrink(frame, settings.short_side) for frame in store.stream(path))
        for images in _chunks(small, settings.chunk):
            shape = shape or images[0].shape
            if any(image.shape != shape for image in images):
                raise VideoError(path, "the size of the frames changes within the video")
            example = encode_example(
                {
                    "video/key": [os.fsencode(job.key)],
                    "video/frames": [frames],
                    "video/fps": [] if fps is None else [fps],
                    "video/times": [] if offsets else times,
                    "video/labels": job.labels,
                    "image/height": [shape[0]],
                    "image/width": [shape[1]],
                    "image/encoded": [_jpeg(image, settings.quality) for image in images],
                    "chunk/start": [len(offsets) * settings.chunk],
                }
            )
            offsets.append(size)
            size += write_record(stream, example)
    return {
        "frames": frames,
        "fps": fps,
        "height": shape[0],
        "width": shape[1],
        "bytes": size,
        "offsets": offsets,
    }


def _chunks(frames: Iterator[np.ndarray], size: int) -> Iterator[list[np.ndarray]]:
    chunk = []
    for frame in frames:
        chunk.append(frame)
        if len(chunk) == size:
            yield chunk
            chunk = []
    if chunk:
        yield chunk


def _shrink(frame: np.ndarray, short_side: int) -> np.ndarray:
    height, width = frame.shape[:2]
    if min(height, width) <= short_side:
        return frame
    scale = short_side / min(height, width)
    # The averaging filter: others alias when they shrink.
    size = (round(width * scale), round(height * scale))
    return cv2.resize(frame, size, interpolation=cv2.INTER_AREA)


def _jpeg(frame: np.ndarray, quality: int) -> bytes:
    bgr = cv2.cvtColor(frame, cv2.COLOR_RGB2BGR)
    return cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, quality])[1].tobytes()
