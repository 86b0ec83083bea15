"""Encoded videos -> shards, in order: what an interrupted run left is used again."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

from bod_keras.data.shards.shard_manifest import UNFINISHED
from bod_keras.data.shards.shard_writer import VideoJob, read_summary, remove_part
from bod_keras.storage.atomic_file import atomic_file

_BLOCK = 2**20


class ShardPacker:
    """Joins the records of videos to shards, in the order of the jobs, however they get done.

    A shard is written when it is full, and only then are its parts removed; so whoever is killed
    finds each video in its part or in a whole shard.

    Args:
        folder: of the shards.
        jobs: all videos.
        shard_mb: a shard is filled up to this many MiB.

    Attributes:
        shards: of each shard that is whole its `file`, `bytes`, `sha256` and `videos`.

    Example:
        >>> from bod_keras.data.shards.shard_packer import ShardPacker
        >>> from pathlib import Path
        >>> import tempfile
        >>> ShardPacker(Path(tempfile.mkdtemp()), [], shard_mb=128).shards
        []
    """

    def __init__(self, folder: Path, jobs: list[VideoJob], shard_mb: float):
        self._folder, self._jobs, self._limit = folder, jobs, shard_mb * 2**20
        self._pending: list[tuple[VideoJob, dict]] = []
        self._size = 0
        self.shards: list[dict] = []
        while (shard := self._read_shard(len(self.shards))) is not None:
            self.shards.append(shard)
        self._next = sum(len(shard["videos"]) for shard in self.shards)

    @property
    def remaining(self) -> list[VideoJob]:
        """The videos that are in no shard yet."""
        return self._jobs[self._next - len(self._pending) :]

    def pack(self) -> None:
        """Take the next videos that are encoded, and write the shards that they fill."""
        while self._next < len(self._jobs):
            job = self._jobs[self._next]
            summary = read_summary(job.part)
            if summary is None:
                return
            size = summary.get("bytes", 0)
            if self._size and self._size + size > self._limit:
                self._write()
            self._pending.append((job, summary))
            self._size += size
            self._next += 1
        if self._pending:
            self._write()

    def _write(self) -> None:
        number = len(self.shards)
        name = f"shard-{number:05d}.tfrecord"
        digest, at, videos = hashlib.sha256(), 0, []
        with atomic_file(self._folder / name) as part, open(part, "wb") as stream:
            for job, summary in self._pending:
                video = {"key": job.key, "source": job.record.path, "labels": job.labels, **summary}
                if "reason" not in summary:
                    video["offsets"] = [at + offset for offset in summary["offsets"]]
                    at += summary["bytes"]
                    with open(job.part, "rb") as source:
                        while block := source.read(_BLOCK):
                            digest.update(block)
                            stream.write(block)
                videos.append(video)
        if not at:  # only videos that were skipped, at the end
            (self._folder / name).unlink()
        shard = {"file": name, "bytes": at, "sha256": digest.hexdigest(), "videos": videos}
        with atomic_file(self._shard_summary(number)) as part:
            part.write_text(json.dumps(shard), encoding="utf-8")
        self.shards.append(shard)
        for job, _ in self._pending:
            remove_part(job.part)
        self._pending, self._size = [], 0

    def _read_shard(self, number: int) -> dict | None:
        try:
            shard = json.loads(self._shard_summary(number).read_text(encoding="utf-8"))
            file = self._folder / shard["file"]
            size = file.stat().st_size if file.exists() else 0
            # Its videos are the next ones; anything else is damage, and they are encoded again.
            begin = sum(len(whole["videos"]) for whole in self.shards)
            keys = [job.key for job in self._jobs[begin : begin + len(shard["videos"])]]
            mine = keys == [video["key"] for video in shard["videos"]]
            return shard if mine and size == shard["bytes"] else None
        except (OSError, ValueError, LookupError, TypeError, RecursionError):
            return None

    def _shard_summary(self, number: int) -> Path:
        return self._folder / UNFINISHED / f"shard-{number:05d}.json"
