"""Videos in TFRecord shards, read frame by frame through the manifest."""

from __future__ import annotations

import functools
import os
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from bod_keras.data.shards.shard_manifest import read_manifest
from bod_keras.data.shards.tfrecord import decode_example, read_records
from bod_keras.data.video.decode_image import decode_image
from bod_keras.data.video.store import Cut, FrameStore
from bod_keras.data.video.video_file import VideoError, VideoInfo
from bod_keras.storage.remote_error import RemoteError, RemoteFileError

_REMEMBERED = 256  # videos whose times are kept: spans and key frames of one follow each other
# What parts the file from the key in a path: <file>.tfrecord#<key>.
SHARD_KEY = ".tfrecord#"


class ShardStore(FrameStore):
    """The `FrameStore` of videos in shards, with paths `<file>.tfrecord#<key>`.

    A read opens the shard, reads the records that hold the frames, verifies their checksums, and
    decodes the frames asked for and no others. The manifest of each folder is read once; no file
    stays open.

    Args:
        cache_mb: decoded videos are kept up to this many MiB; 0 keeps none.

    Raises:
        ValueError: if `cache_mb` is negative.

    Example:
        >>> from bod_keras.data import ShardStore
        >>> store = ShardStore()
        >>> store.frames("shards/shard-00000.tfrecord#a.avi", [0, 2, 4]).shape  # doctest: +SKIP
        (3, 128, 171, 3)
    """

    def __init__(self, cache_mb: float = 0):
        super().__init__(cache_mb)
        self._folders: dict[str, dict[str, _Entry]] = {}
        self._times = functools.lru_cache(maxsize=_REMEMBERED)(self._read_times)

    def measure(self, path: str) -> VideoInfo:
        return self._entry(path).info

    def decode(self, path: str, indices: np.ndarray) -> np.ndarray:
        return np.stack(self._read(path, indices))

    def decode_cut(self, path: str, indices: np.ndarray, cut: Cut) -> np.ndarray:
        return np.stack([cut(image, row) for row, image in enumerate(self._read(path, indices))])

    def times(self, path: str) -> np.ndarray:
        return self._times(path)

    def _read_times(self, path: str) -> np.ndarray:
        found = _examples(path, self._entry(path), np.array([0]))[0].get("video/times", ())
        if not found:  # written before times were kept, or not known
            return super().times(path)
        times = np.frombuffer(found[0], "<f8") if len(found[0]) % 8 == 0 else np.zeros(0)
        if len(times) != self.length(path) or not (np.diff(times) >= 0).all():
            raise VideoError(path, "the times of its frames in the shard are damaged")
        return times

    def _read(self, path: str, indices: np.ndarray) -> list[np.ndarray]:
        entry = self._entry(path)
        unique, rows = np.unique(indices, return_inverse=True)
        if unique[-1] >= entry.info.frames:
            raise VideoError(path, f"there is no frame {unique[-1]}, only {entry.info.frames}")
        chunks, first = np.unique(unique // entry.chunk, return_index=True)
        examples = _examples(path, entry, chunks)
        try:
            images = [
                image
                for chunk, example, wanted in zip(chunks, examples, np.split(unique, first[1:]))
                for image in _images(path, example, int(chunk) * entry.chunk, wanted)
            ]
        except VideoError:
            raise
        except (ValueError, LookupError, TypeError) as error:  # another writer's records
            raise VideoError(path, f"a record holds no frames: {error!r}") from None
        return [images[row] for row in rows]

    def _entry(self, path: str) -> _Entry:
        folder = os.path.dirname(path.partition(SHARD_KEY)[0])
        if folder not in self._folders:
            # Two threads may both read it, with the same result.
            self._folders[folder] = _index(path, folder)
        entry = self._folders[folder].get(_key(path))
        if entry is None:
            raise VideoError(path, "the manifest of the shards has no such video")
        return entry


class _Entry(NamedTuple):
    """Where a video is in its shard."""

    info: VideoInfo
    chunk: int
    offsets: np.ndarray


def _index(path: str, folder: str) -> dict[str, _Entry]:
    try:
        manifest = read_manifest(folder)
    except RemoteError as error:
        if not isinstance(error, RemoteFileError):
            raise
        raise VideoError(path, f"the manifest of the shards cannot be read: {error}") from None
    except (OSError, ValueError) as error:
        raise VideoError(path, f"the manifest of the shards cannot be read: {error}") from None
    chunk = manifest["settings"]["chunk"]
    return {
        video["key"]: _Entry(
            VideoInfo(video["frames"], video["fps"], video["height"], video["width"]),
            chunk,
            np.array(video["offsets"], np.int64),
        )
        for video in manifest["videos"]
    }


def _examples(path: str, entry: _Entry, chunks: np.ndarray) -> list[Mapping[str, Sequence]]:
    """Read records of a video."""
    try:
        records = read_records(_file(path), entry.offsets[chunks].tolist())
        return [decode_example(record) for record in records]
    except RemoteFileError as error:
        raise VideoError(path, f"the shard cannot be read: {error.reason}") from None
    except RemoteError:
        raise
    except OSError as error:
        raise VideoError(path, f"the shard cannot be read: {error.strerror}") from None
    except (ValueError, MemoryError) as error:
        raise VideoError(path, str(error)) from None


def _images(
    path: str, example: Mapping[str, Sequence], start: int, wanted: np.ndarray
) -> Iterator[np.ndarray]:
    """Decode frames of a record, which must be the one that the manifest promises."""
    found = [*example.get("video/key", ()), *example.get("chunk/start", ())]
    if found != [os.fsencode(_key(path)), start]:
        raise VideoError(
            path, "the shard is not the one that the manifest describes; write the shards again"
        )
    size = example["image/height"][0], example["image/width"][0], 3
    for index in wanted.tolist():
        try:
            image = decode_image(example["image/encoded"][index - start])
        except ValueError as error:
            raise VideoError(path, f"frame {index} {error}") from None
        if image.shape != size:
            raise VideoError(path, f"frame {index} is no image of the right size")
        yield image


def _file(path: str) -> str:
    return path.partition(SHARD_KEY)[0] + SHARD_KEY[:-1]


def _key(path: str) -> str:
    return path.partition(SHARD_KEY)[2]
