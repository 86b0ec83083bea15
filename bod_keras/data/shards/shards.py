"""Videos -> TFRecord shards of JPEG frames: in parallel, resumable, every byte accounted for."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import hashlib
import json
import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from bod_keras.data.processes.process_map import check_timeout, process_map
from bod_keras.data.record import Record
from bod_keras.data.shards.shard_manifest import (
    FORMAT,
    MANIFEST,
    UNFINISHED,
    VERSION,
    is_shard_folder,
    read_manifest,
    read_unfinished,
    record_to_json,
    write_manifest,
)
from bod_keras.data.shards.shard_packer import ShardPacker
from bod_keras.data.shards.shard_writer import (
    ShardSettings,
    VideoJob,
    encode_in_worker,
    encode_video,
    read_summary,
    write_summary,
)
from bod_keras.errors import UserError
from bod_keras.storage.atomic_file import PART, set_aside
from bod_keras.storage.lock import lock
from bod_keras.storage.remote import is_remote
from bod_keras.storage.stored_size import stored_size


def write_shards(
    records: Sequence[Record],
    folder: str | os.PathLike,
    settings: ShardSettings | None = None,
    *,
    class_names: Sequence[str] = (),
    flip_safe: bool = True,
    workers: int = 0,
    timeout: float = 300.0,
    progress: Callable[[int, int], None] | None = None,
) -> dict:
    """Write videos as TFRecord shards of JPEG frames, from which a clip reads its own frames only.

    Each file, or folder of frames, is written once and whole, however many records name it. Videos
    that cannot be read are left out and named in the manifest. A run that was stopped continues where
    it was when it is called again with the same records and settings: what is whole stays, and the
    result is the same to the byte. When all is written already, nothing is done.

    Args:
        records: from `read_catalog`; video files, folders of frames or arrays.
        folder: where to write; new, empty, or from an earlier call.
        settings: size, quality and layout; None for the defaults.
        class_names: names of the classes, in the order of the labels, if they are known.
        flip_safe: whether a clip that is flipped left to right keeps its label.
        workers: processes that encode; with 0 this one does, and a video that hangs the decoder
            hangs it, too.
        timeout: seconds after which a video is given up, and 10 more for each MiB of its file.
        progress: called as `progress(done, total)` with numbers of videos; None is silent.

    Returns:
        The manifest, as `read_manifest` gives it; `skipped` in it names videos and reasons.

    Raises:
        ValueError: if an argument is out of range, a label has no class name, or the folder holds
            something else, or shards of other records or with other settings.
        OSError: if a file cannot be written, or another process writes to the folder.

    Example:
        >>> import numpy as np
        >>> from bod_keras.data import write_shards
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
        raise UserError("records must hold at least one video. Received: an empty list")
    check_timeout(timeout)
    if workers < 0:
        raise UserError(f"workers must be at least 0. Received: workers={workers}")
    for record in records if class_names else ():
        label = max([*record.labels, -1 if record.label is None else record.label], default=-1)
        if label >= len(class_names):
            raise UserError(
                f"class_names must name the class of every label. Received: {len(class_names)} names, and "
                f"label {label} of {record.path}"
            )
    settings = settings or ShardSettings()
    if is_remote(folder):
        raise UserError(
            f"Shards are written to a local folder. Received: {folder}. Copy it there when it is "
            "finished; it is read from there like a local one."
        )
    folder = Path(folder)
    identity = {
        "format": FORMAT,
        "version": VERSION,
        "settings": dataclasses.asdict(settings),
        "class_names": list(class_names),
        "flip_safe": flip_safe,
        "source_sha256": _digest(records),
    }
    if _is_complete(folder, identity):
        return read_manifest(folder)
    with _locked(folder):
        _agree(folder, identity)
        jobs = _jobs(records, folder / UNFINISHED)
        packer = ShardPacker(folder, jobs, settings.shard_mb)
        done = sum(read_summary(job.part) is not None for job in packer.remaining)
        done += len(jobs) - len(packer.remaining)
        for number in _encode(packer.remaining, settings, workers, timeout):
            packer.pack()
            if progress is not None:
                progress(done + number, len(jobs))
        manifest = {**identity, **_contents(records, packer.shards)}
        write_manifest(folder / MANIFEST, manifest)
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
        raise UserError(f"{folder} holds files, but no shards. Give a new or empty folder.")
    if not (folder / MANIFEST).exists():
        return False
    _check_same(folder, read_manifest(folder), identity)
    shutil.rmtree(folder / UNFINISHED, ignore_errors=True)
    return True


@contextlib.contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Keep other processes out of the folder, and clear away what killed ones left half written."""
    with contextlib.ExitStack() as held:
        try:
            held.enter_context(lock(folder, "Wait for it, or stop it."))
        except BlockingIOError as error:
            raise OSError(f"Another process is writing shards to {folder}. {error}") from None
        (folder / UNFINISHED).mkdir(parents=True, exist_ok=True)
        for half in (*folder.glob(f"{PART}*"), *(folder / UNFINISHED).glob(f"{PART}*")):
            half.unlink()
        yield


def _agree(folder: Path, identity: dict) -> None:
    """Continue only with what an earlier run was asked for."""
    path = folder / UNFINISHED / MANIFEST
    found = read_unfinished(path)
    if found is not None:
        _check_same(folder, found, identity)
        return
    if path.exists():  # then who knows what the parts are of
        aside = set_aside(folder / UNFINISHED)
        print(
            f"{path} is damaged: {UNFINISHED} is now {aside.name}, and all videos are encoded again."
        )
    write_manifest(path, identity)


def _check_same(folder: Path, found: dict, identity: dict) -> None:
    there, asked = ({**one, **one["settings"]} for one in (found, identity))
    differing = [
        f"{name} (there: {there.get(name)!r}, asked for: {asked[name]!r})"
        for name in ("version", *identity["settings"], "class_names", "flip_safe")
        if there.get(name) != asked[name]
    ]
    if found["source_sha256"] != identity["source_sha256"]:
        differing.append("the list of videos, or what is known of them")
    if differing:
        raise UserError(
            f"{folder} holds shards made otherwise. These differ: {', '.join(differing)}. "
            "Give another folder, or delete this one."
        )


def _jobs(records: Sequence[Record], folder: Path) -> list[VideoJob]:
    sources: dict[str, list[Record]] = {}
    for record in records:
        sources.setdefault(record.path, []).append(record)
    jobs = []
    for key, found in zip(_keys(list(sources)), sources.values()):
        labels = {label for record in found for label in (record.label, *record.labels)}
        part = folder / f"{len(jobs):08d}"
        jobs.append(VideoJob(found[0], key, sorted(labels - {None}), part))
    return jobs


def _keys(paths: list[str]) -> list[str]:
    """What is left of the paths without the folder that they share; also of URLs."""
    shared = os.path.commonprefix([path[: path.rstrip("/").rfind("/") + 1] for path in paths])
    shared = shared[: shared.rfind("/") + 1]
    return [path[len(shared) :] for path in paths]


def _encode(
    jobs: list[VideoJob], settings: ShardSettings, workers: int, timeout: float
) -> Iterator[int]:
    """Encode what is missing; give the number of videos encoded so far, beginning with 0."""
    missing = [job for job in jobs if read_summary(job.part) is None]
    yield 0
    if workers:
        encode = functools.partial(encode_in_worker, settings=settings)
        limit = functools.partial(_time_limit, timeout)
        outcomes = process_map(encode, missing, workers, limit)
    else:
        outcomes = ((job, encode_video(job, settings), None) for job in missing)
    for number, (job, failure, reason) in enumerate(outcomes, start=1):
        if failure is not None:
            raise OSError(failure)
        if reason is not None:  # it hung, or crashed the process
            write_summary(job.part, {"reason": reason})
        yield number


def _time_limit(seconds: float, job: VideoJob) -> float:
    path = job.record.path
    return seconds + 10 * stored_size(path) / 2**20


def _contents(records: Sequence[Record], shards: list[dict]) -> dict:
    """What the manifest says of shards, videos and records."""
    entries = [
        {"shard": number, **video}
        for number, shard in enumerate(shards)
        for video in shard["videos"]
    ]
    videos = [video for video in entries if "reason" not in video]
    skipped = [
        {"source": video["source"], "reason": video["reason"]}
        for video in entries
        if "reason" in video
    ]
    places = {video["source"]: place for place, video in enumerate(videos)}
    files = [{name: shard[name] for name in ("file", "bytes", "sha256")} for shard in shards]
    return {
        "totals": {
            "videos": len(videos),
            "frames": sum(video["frames"] for video in videos),
            "bytes": sum(file["bytes"] for file in files),
            "skipped": len(skipped),
        },
        "shards": [file for file in files if file["bytes"]],
        "skipped": skipped,
        "videos": videos,
        "records": [
            {"video": places[record.path], **record_to_json(record)}
            for record in records
            if record.path in places
        ],
    }
