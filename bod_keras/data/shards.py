"""Videos -> TFRecord shards of JPEG frames: in parallel, resumable, every byte accounted for."""

from __future__ import annotations

import contextlib
import dataclasses
import fcntl
import hashlib
import json
import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from bod_keras.atomic_file import PART, atomic_file
from bod_keras.data.record import Record
from bod_keras.data.shard_jobs import run_jobs
from bod_keras.data.shard_manifest import (
    FORMAT,
    MANIFEST,
    UNFINISHED,
    VERSION,
    is_shard_folder,
    read_manifest,
    record_to_json,
)
from bod_keras.data.shard_writer import ShardSettings, measure_video, write_shard


def write_shards(
    records: Sequence[Record],
    folder: str | os.PathLike,
    settings: ShardSettings | None = None,
    *,
    workers: int = 1,
    progress: Callable[[str, int, int], None] | None = None,
) -> dict:
    """Write videos as TFRecord shards of JPEG frames, from which a clip reads its own frames only.

    Each file, or folder of frames, is written once and whole, however many records name it. Videos
    that cannot be read are left out and named in the manifest. A run that was stopped goes on where
    it was when it is called again with the same records and settings: shards that are whole stay,
    and the result is the same to the byte. When all is written already, nothing is done.

    Args:
        records: from `read_catalog`; video files, folders of frames or arrays.
        folder: where to write; new, empty, or from an earlier call.
        settings: size, quality and layout; None for the defaults.
        workers: processes.
        progress: called as `progress(what, done, total)`, where `what` is "videos measured" and
            then "frames written"; None is silent.

    Returns:
        The manifest, as `read_manifest` gives it; `skipped` in it names videos and reasons.

    Raises:
        ValueError: if an argument is out of range, or the folder holds something else, or shards of
            other records or with other settings.
        OSError: if a file cannot be written, or another process writes to the folder.

    Example:

    >>> import tempfile
    >>> from bod_keras.data import array_records, open_store, read_catalog
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     clips = np.zeros((3, 40, 32, 48, 3), np.uint8)
    ...     manifest = write_shards(array_records(clips, labels=[0, 1, 2]), folder)
    ...     records = read_catalog(folder)
    ...     frames = open_store(records).frames(records[2].path, [0, 39])
    >>> manifest["totals"]["frames"], records[2].label, frames.shape
    (120, 2, (2, 32, 48, 3))
    """
    if not records:
        raise ValueError("records must hold at least one video. Received: an empty list")
    if workers < 1:
        raise ValueError(f"workers must be at least 1. Received: workers={workers}")
    settings = settings or ShardSettings()
    folder = Path(folder)
    progress = progress or (lambda what, done, total: None)
    identity = {
        "format": FORMAT,
        "version": VERSION,
        "settings": dataclasses.asdict(settings),
        "source_sha256": _digest(records),
    }
    if _is_complete(folder, identity):
        return read_manifest(folder)
    with _locked(folder):
        plan = _read_plan(folder, identity)
        if plan is None:
            plan = identity | _plan(records, settings, workers, progress)
            _write_json(folder / UNFINISHED / MANIFEST, plan)
        _write_missing(folder, plan, records, settings, workers, progress)
        manifest = _manifest(folder, plan, records)
        _write_json(folder / MANIFEST, manifest)
        shutil.rmtree(folder / UNFINISHED)
    return manifest


def _digest(records: Sequence[Record]) -> str:
    known = [[record.path, record_to_json(record)] for record in records]
    return hashlib.sha256(json.dumps(known, sort_keys=True).encode()).hexdigest()


def _is_complete(folder: Path, identity: dict) -> bool:
    """Say whether all is there already; refuse a folder of something else."""
    if not folder.exists() or set(os.listdir(folder)) <= {UNFINISHED}:
        return False
    if not is_shard_folder(folder):
        raise ValueError(f"{folder} holds files, but no shards. Give a new or empty folder.")
    if (folder / UNFINISHED).exists():
        return False
    _check_same(folder, read_manifest(folder), identity)
    return True


def _read_plan(folder: Path, identity: dict) -> dict | None:
    path = folder / UNFINISHED / MANIFEST
    if not path.exists():
        return None
    plan = json.loads(path.read_text(encoding="utf-8"))
    _check_same(folder, plan, identity)
    return plan


def _check_same(folder: Path, found: dict, identity: dict) -> None:
    there = {**found, **found["settings"]}
    asked = {**identity, **identity["settings"]}
    differing = [
        f"{name} (there: {there.get(name)!r}, asked for: {value!r})"
        for name, value in asked.items()
        if name not in ("settings", "source_sha256") and there.get(name) != value
    ]
    if found["source_sha256"] != identity["source_sha256"]:
        differing.append("the list of videos, or what is known of them")
    if differing:
        raise ValueError(
            f"{folder} holds shards made otherwise; these differ: {', '.join(differing)}. "
            "Give another folder, or delete this one."
        )


@contextlib.contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Keep other processes out of the folder, and clear away what killed ones left half written."""
    (folder / UNFINISHED).mkdir(parents=True, exist_ok=True)
    with open(folder / UNFINISHED / "lock", "w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise OSError(
                f"Another process is writing shards to {folder}. Wait for it, or stop it."
            ) from None
        for place in (folder, folder / UNFINISHED):
            for part in place.iterdir():
                if part.name.startswith(PART):
                    part.unlink()
        yield


def _plan(
    records: Sequence[Record], settings: ShardSettings, workers: int, progress: Callable
) -> dict:
    """Measure all videos and part them into shards: the same way, whoever then writes them."""
    sources = _sources(records)
    jobs = [(found[0], settings) for found in sources.values()]
    measured = []
    for result in run_jobs(measure_video, jobs, workers):
        measured.append(result)
        progress("videos measured", len(measured), len(jobs))
    videos, skipped = [], []
    shard, filled = 0, 0
    for key, (path, found), facts in zip(_keys(list(sources)), sources.items(), measured):
        if "reason" in facts:
            skipped.append({"source": path, "reason": facts["reason"]})
            continue
        size = facts.pop("bytes")
        if filled and filled + size > settings.shard_mb * 2**20:
            shard, filled = shard + 1, 0
        filled += size
        labels = {label for record in found for label in (record.label, *record.labels)}
        labels = sorted(labels - {None})
        videos.append({"key": key, "source": path, "labels": labels, "shard": shard, **facts})
    return {"videos": videos, "skipped": skipped}


def _sources(records: Sequence[Record]) -> dict[str, list[Record]]:
    """Path -> its records, in the order of first mention."""
    sources: dict[str, list[Record]] = {}
    for record in records:
        sources.setdefault(record.path, []).append(record)
    return sources


def _keys(paths: list[str]) -> list[str]:
    """What is left of the paths without the folder that they share; also of URLs."""
    shared = os.path.commonprefix([path[: path.rstrip("/").rfind("/") + 1] for path in paths])
    shared = shared[: shared.rfind("/") + 1]
    return [path[len(shared) :] for path in paths]


def _write_missing(
    folder: Path,
    plan: dict,
    records: Sequence[Record],
    settings: ShardSettings,
    workers: int,
    progress: Callable,
) -> None:
    sources = _sources(records)
    shards: dict[int, list[dict]] = {}
    for video in plan["videos"]:
        shards.setdefault(video["shard"], []).append(video)
    done, total = 0, sum(video["frames"] for video in plan["videos"])
    jobs = []
    for number, videos in shards.items():
        path, summary = folder / _shard_name(number), _summary_path(folder, number)
        if _is_whole(path, summary):
            done += sum(video["frames"] for video in videos)
            continue
        chosen = [sources[video["source"]][0] for video in videos]
        jobs.append((path, summary, videos, chosen, settings))
    progress("frames written", done, total)
    count = lambda frames: progress("frames written", done + frames, total)  # noqa: E731
    for _ in run_jobs(write_shard, jobs, workers, count):
        pass


def _shard_name(number: int) -> str:
    return f"shard-{number:05d}.tfrecord"


def _summary_path(folder: Path, number: int) -> Path:
    return folder / UNFINISHED / f"shard-{number:05d}.json"


def _is_whole(path: Path, summary: Path) -> bool:
    if not (path.exists() and summary.exists()):
        return False
    return path.stat().st_size == json.loads(summary.read_text())["bytes"]


def _manifest(folder: Path, plan: dict, records: Sequence[Record]) -> dict:
    """The plan with what came of it: offsets, checksums, and without what was skipped."""
    numbers = sorted({video["shard"] for video in plan["videos"]})
    summaries = [json.loads(_summary_path(folder, number).read_text()) for number in numbers]
    videos, skipped = [], list(plan["skipped"])
    for video in plan["videos"]:
        summary = summaries[video["shard"]]
        if video["key"] in summary["offsets"]:
            videos.append({**video, "offsets": summary["offsets"][video["key"]]})
        else:
            reason = summary["skipped"][video["key"]]
            skipped.append({"source": video["source"], "reason": reason})
    places = {video["source"]: place for place, video in enumerate(videos)}
    shards = [
        {"file": _shard_name(number), "bytes": summary["bytes"], "sha256": summary["sha256"]}
        for number, summary in enumerate(summaries)
    ]
    return {
        **plan,
        "totals": {
            "videos": len(videos),
            "frames": sum(video["frames"] for video in videos),
            "bytes": sum(shard["bytes"] for shard in shards),
            "skipped": len(skipped),
        },
        "shards": shards,
        "videos": videos,
        "records": [
            {"video": places[record.path], **record_to_json(record)}
            for record in records
            if record.path in places
        ],
        "skipped": skipped,
    }


def _write_json(path: Path, content: dict) -> None:
    """Write a dictionary with one line for each value, or each entry of a list."""
    lines = []
    for name, value in content.items():
        text = json.dumps(value)
        if isinstance(value, list) and value:
            text = "[\n  " + ",\n  ".join(map(json.dumps, value)) + "\n ]"
        lines.append(f"{json.dumps(name)}: {text}")
    with atomic_file(path) as part:
        part.write_text("{\n " + ",\n ".join(lines) + "\n}\n", encoding="utf-8")
