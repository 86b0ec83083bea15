"""Videos embedded by a run: a file of vectors to search in."""

from __future__ import annotations

import contextlib
import dataclasses
import itertools
import os
import shutil
import time
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np

from bod_keras.data import Catalog, Record, augmentation, read_source
from bod_keras.data.loading.reader import ClipReader, Task
from bod_keras.data.loading.sample_source import SampleSource
from bod_keras.data.processes.process_map import process_map
from bod_keras.data.video.array_store import ArrayRecord
from bod_keras.errors import UserError
from bod_keras.library import library_file
from bod_keras.library.library_file import library_path, read_info, read_keys
from bod_keras.library.trained_run import TrainedRun
from bod_keras.library.video_key import video_key
from bod_keras.library.windows import Measure
from bod_keras.progress_bar import progress_bar
from bod_keras.storage import remote
from bod_keras.storage.atomic_file import atomic_file, sweep_parts
from bod_keras.storage.lock import lock
from bod_keras.storage.remote_error import without_secrets
from bod_keras.version import __version__

_FORMAT = 1
_VIDEOS_AT_ONCE = 512  # what a killed command loses at most
_ROWS_AT_ONCE = 8192
_SAME = ("format", "model", "clips", "every")  # what all rows of a library share


@dataclasses.dataclass(frozen=True)
class Embedded:
    """What `embed` has done.

    Args:
        library: the file.
        rows: rows that it has now.
        new: videos that were embedded.
        known: videos that it had already.
        skipped: path -> reason of what could not be read.
        files: all files that were written.
    """

    library: Path
    rows: int
    new: int
    known: int
    skipped: dict[str, str]
    files: list[Path]


def embed(
    run: str | os.PathLike,
    videos: str | os.PathLike | Catalog | Sequence[Record],
    output: str | os.PathLike,
    every: float | None = None,
    formats: Sequence[str] = (),
    workers: int = 2,
    timeout: float = 120.0,
) -> Embedded:
    """Embed videos with a finished run, and write or extend a library, a Parquet file with a row a video.

    The clip of a row is its centered one, as in evaluation. Videos that the library has already are not read
    again, by path, size and time of change; a video that has changed replaces its older rows. Files that cannot
    be read are skipped and named, and tried again the next time. A call that is stopped loses at most a few
    hundred videos; the same call continues.

    Args:
        run: folder of a finished run.
        videos: a folder, a list, a CSV file, one video, or shards (`read_source`), local or remote; or a
            `Catalog` or list of `Record`.
        output: the library's file, ``.parquet`` or without an ending. With the ending ``.npz`` or ``.csv`` a
            copy of this form is written beside it.
        every: a row for each window of this many seconds, not one for each video.
        formats: further copies, of "npz" and "csv".
        workers: processes that read.
        timeout: seconds that a clip may take.

    Returns:
        What was done, an `Embedded`.

    Raises:
        FileNotFoundError: there is no such run or source.
        ImportError: pyarrow is not installed.
        UserError: the library was made by another model or with other clips, or not one video can be read.

    Example:
        >>> import bod_keras
        >>> done = bod_keras.embed("runs/videos-seed0", "videos", "library")  # doctest: +SKIP
        >>> done.rows, done.skipped  # doctest: +SKIP
        (812, {'videos/cut.mp4': 'no frame can be decoded'})
    """
    if remote.is_remote(output):
        raise UserError(f"A library is a local file. Received: {output}. Copy it there afterwards.")
    if every is not None and not 0 < every < float("inf"):
        raise UserError(f"every must be a number of seconds above 0. Received: {every}")
    path = library_path(output)
    copies = {Path(output).suffix} & {".npz", ".csv"} | {f".{name}" for name in formats}
    if unknown := copies - {".npz", ".csv", ".parquet"}:
        raise UserError(f"formats are parquet, npz and csv. Received: {sorted(unknown)[0][1:]!r}")
    library_file.need_parquet()
    catalog = videos if isinstance(videos, Catalog) else _catalog(videos)
    trained = TrainedRun(run)
    with lock(path, "Wait until it has ended, or choose another output."):
        writing = _Writing(path, trained, every)
        found = writing.add(catalog, workers, timeout)
        files = [path]
        for ending in sorted(copies - {".parquet"}):
            with atomic_file(path.with_suffix(ending)) as part:
                library_file.write_copy(library_file.Library(path), part)
            files.append(path.with_suffix(ending))
    return dataclasses.replace(found, files=files)


def embed_one(
    trained: TrainedRun, path: str, at: float | None = None, every: float | None = None
) -> dict[str, np.ndarray]:
    """Return the parts of one video, float32 (K,) each.

    Args:
        trained: the run.
        path: the video.
        at: second at which the clip begins; None for the centered clip.
        every: length of the window whose centered clip is taken, at least that of a clip.

    Raises:
        UserError: the video cannot be read.
    """
    record = Record(path)
    if at is not None:
        shortest = Measure(trained.clips.frames, trained.clips.stride, every=1e-3)
        found, reason = shortest((0, record))
        if found is not None:
            length = max(every or 0.0, found[0][1] - found[0][0])
            record = Record(path, span=(at, at + length))
    (sample,) = _read(trained, [record], workers=0, timeout=60.0, look=lambda clips: clips.copy())
    clips, reason = sample
    if clips is None:
        raise UserError(f"{without_secrets(path)}: {reason}")
    return {name: values[0] for name, values in trained.embed(clips[None]).items()}


class _Writing:
    """A library that is written, its new rows in files of their own until the end."""

    def __init__(self, path: Path, trained: TrainedRun, every: float | None):
        self.path, self.trained, self.every = path, trained, every
        self.folder = path.with_name(f"{path.name}.new")
        clips = trained.clips
        self.info = {
            "format": _FORMAT,
            "model": trained.hash,
            "clips": {"frames": clips.frames, "stride": clips.stride, "size": clips.size},
            "every": every,
            "run": trained.name,
            "bod_keras": __version__,
            "backend": keras.backend.backend(),
        }
        self.known: set[str] = set()
        self.files: list[Path] = []
        sweep_parts(self.folder)
        if path.is_file():
            self._check_same(path)
            self.known = read_keys(path)
        for file in sorted(self.folder.glob("[0-9]*.parquet")):
            self._check_same(file)
            keys = read_keys(file)
            if (
                not keys & self.known
            ):  # else it is of a command that was killed when all was written
                self.files.append(file)
            self.known |= keys

    def add(self, catalog: Catalog, workers: int, timeout: float) -> Embedded:
        """Embed what is new, and write the library."""
        labels = _labels(catalog)
        wanted: dict[str, int] = {}
        for i, record in enumerate(catalog.records):
            wanted.setdefault(video_key(record), i)
        new = [i for key, i in wanted.items() if key not in self.known]
        skipped: dict[str, str] = {}
        done, keys = 0, {i: key for key, i in wanted.items()}
        with progress_bar(len(new), "embed") as bar:
            for start in range(0, len(new), _VIDEOS_AT_ONCE):
                chosen = new[start : start + _VIDEOS_AT_ONCE]
                records = {i: catalog.records[i] for i in chosen}
                for rows, failed in self._rows(records, workers, timeout, bar):
                    skipped |= failed
                    if rows["index"]:
                        done += len(set(rows["index"]))
                        rows["label"] = [labels[i] for i in rows["index"]]
                        rows["key"] = [keys[i] for i in rows.pop("index")]
                        self._write(rows)
        if not self.files and not self.path.is_file():
            named = "; ".join(
                f"{without_secrets(p)}: {r}" for p, r in itertools.islice(skipped.items(), 5)
            )
            raise UserError(f"Not one of {len(new)} videos can be read: {named}.")
        known = len(wanted) - len(new)
        return Embedded(self.path, self._finish(skipped, catalog), done, known, skipped, [])

    def _rows(
        self, records: dict[int, Record], workers: int, timeout: float, bar: Any
    ) -> Iterator[tuple[dict[str, list], dict[str, str]]]:
        """Rows of whole videos, some thousand at a time, and what could not be read."""
        clips, failed = self.trained.clips, {}
        spans: dict[int, list] = {}
        measure = Measure(clips.frames, clips.stride, self.every)
        for i, (found, reason) in _measured(measure, records, workers, timeout):
            if found is None:
                failed[records[i].path] = reason
                bar.update()
            else:
                spans[i] = found
        todo = [(i, span) for i in records if i in spans for span in spans[i]]
        cut = [_part(records[i], span, self.every) for i, span in todo]
        rows, batch, last = _empty(), [], None

        def flush():
            values = self.trained.embed(np.stack([clip for _, clip in batch]))
            finite = np.all([np.isfinite(part).all(axis=1) for part in values.values()], axis=0)
            for row, (n, _) in enumerate(batch):
                i, (start, end) = todo[n]
                if not finite[row]:
                    failed[records[i].path] = "its embedding is not finite"
                    continue
                for name, value in (("path", records[i].path), ("start", start), ("end", end)):
                    rows[name].append(_absolute(value) if name == "path" else value)
                rows["index"].append(i)
                for part, vectors in values.items():
                    rows.setdefault(part, []).append(vectors[row])
            batch.clear()

        stream = _read(self.trained, cut, workers, timeout, look=lambda clip: clip.copy())
        with contextlib.closing(stream):
            for n, (clip, reason) in enumerate(stream):
                i = todo[n][0]
                if i != last:
                    if last is not None:
                        bar.update()
                    if len(rows["path"]) + len(batch) >= _ROWS_AT_ONCE:
                        if batch:
                            flush()
                        yield rows, failed
                        rows, failed = _empty(), {}
                    last = i
                if clip is None:
                    failed[records[i].path] = reason
                    continue
                batch.append((n, clip))
                if len(batch) == self.trained.batch_size:
                    flush()
        if batch:
            flush()
        if last is not None:
            bar.update()
        yield rows, failed

    def _write(self, rows: dict[str, list]) -> None:
        number = 1 + max((int(file.stem) for file in self.files), default=0)
        file = self.folder / f"{number:06d}.parquet"
        with atomic_file(file) as part:
            library_file.write_rows(part, rows, self.info)
        self.files.append(file)

    def _finish(self, skipped: dict[str, str], catalog: Catalog) -> int:
        """Put the new rows to the old ones."""
        info = {
            **self.info,
            "written": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
            "skipped": {without_secrets(path): reason for path, reason in skipped.items()},
            "missing": [without_secrets(name) for name in catalog.missing],
        }
        before = [self.path] if self.path.is_file() else []
        whole = self.folder / "whole.parquet"
        with atomic_file(whole) as part:
            count = library_file.merge(part, [*before, *self.files], info)
        os.replace(whole, self.path)
        shutil.rmtree(self.folder, ignore_errors=True)
        return count

    def _check_same(self, file: Path) -> None:
        before = read_info(file)
        differing = [name for name in _SAME if before.get(name) != self.info[name]]
        if differing:
            shown = "; ".join(f"{n} {before.get(n)} there, {self.info[n]} now" for n in differing)
            raise UserError(
                f"{file} was embedded otherwise, and its vectors cannot be compared with new ones: {shown}. "
                f"Its run was {before.get('run')}. Choose another --output."
            )


def _catalog(videos: Any) -> Catalog:
    if isinstance(videos, (str, os.PathLike)):
        return read_source(videos)
    records = list(videos)
    if not records or not all(hasattr(record, "path") for record in records):
        raise UserError(
            "videos must be a path, a Catalog, or a list of Record. Received: "
            f"{type(videos).__name__} of {len(records)}"
        )
    return Catalog(records)


def _read(trained, records, workers, timeout, look):
    """`(what look gives of its clip, None)`, or `(None, reason)`, of each record, in order."""
    clips = trained.clips
    center = augmentation("none", clips.size)
    arrays = [record for record in records if isinstance(record, ArrayRecord)]
    reader = ClipReader(clips.frames, clips.stride, 0, center, center, arrays=arrays)
    source = SampleSource(records, reader, 0 if arrays else workers, timeout)
    tasks = (Task(i, i, None, 1) for i in range(len(records)))
    window = trained.batch_size + 4 * workers
    with contextlib.closing(source.samples(tasks, clips.evaluation_shape(1, 1), window)) as samples:
        for sample in samples:
            if sample.reason is None:
                yield look(sample.clips[0]), None
            else:
                yield None, sample.reason


def _measured(
    measure: Measure, records: dict[int, Record], workers: int, timeout: float
) -> Iterable[tuple[int, tuple]]:
    """Number of each record, with its windows or why it cannot be read."""
    arrays = any(isinstance(record, ArrayRecord) for record in records.values())
    if arrays:
        for i, record in records.items():
            yield (
                i,
                ([(0.0, float("nan"))], None)
                if isinstance(record, ArrayRecord)
                else measure((i, record)),
            )
        return
    if not workers:
        yield from ((i, measure((i, record))) for i, record in records.items())
        return
    bare = {i: Record(record.path, span=record.span) for i, record in records.items()}
    for (i, _), result, failure in process_map(
        measure, bare.items(), workers, lambda item: timeout
    ):
        yield i, result if failure is None else (None, failure)


def _part(record: Record, span: tuple[float, float], every: float | None) -> Record:
    """The record of a window; without windows the record itself."""
    return record if every is None else Record(record.path, span=span)


def _absolute(path: str) -> str:
    return path if remote.is_remote(path) or path.startswith("array#") else os.path.abspath(path)


def _labels(catalog: Catalog) -> list[str | None]:
    names = catalog.class_names

    def name(label):
        return str(names[label]) if label < len(names) else str(label)

    found = []
    for record in catalog.records:
        numbers = record.labels if record.label is None else (record.label,)
        texts = [name(label) for label in numbers]
        texts += [f"{factor}={value}" for factor, value in record.factors.items()]
        found.append(", ".join(texts) or None)
    return found


def _empty() -> dict[str, list]:
    return {name: [] for name in ("path", "start", "end", "index")}
