"""A page to look through a library: loops, neighbors by either part, a map; without network."""

from __future__ import annotations

import contextlib
import hashlib
import json
import math
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np

from bod_keras.data.record import Record
from bod_keras.errors import UserError
from bod_keras.library.library_file import Library, read_library
from bod_keras.library.searching import BY
from bod_keras.progress_bar import progress_bar
from bod_keras.storage.atomic_file import atomic_file, sweep_parts

_FRAMES, _SIZE, _SECONDS = 8, 112, 1.2  # of a loop: its frames, their side in pixels, its time
_NEIGHBORS = 12
_ROWS_AT_ONCE = 512


def write_page(
    library: str | os.PathLike | Library,
    output: str | os.PathLike,
    most: int = 10_000,
    workers: int = 2,
    timeout: float = 60.0,
) -> tuple[Path, dict[str, str]]:
    """Write a folder with a page that opens by a double click, and needs no network and no server.

    The folder has ``index.html``, with script, style and data, and ``loops/``, a strip of frames a row. A
    loop that is there already is not made again, so that a call that was stopped continues.

    Args:
        library: a `Library`, or its file.
        output: the folder.
        most: rows on the page; of a larger library evenly spaced ones.
        workers: processes that read the videos.
        timeout: seconds that a video may take.

    Returns:
        The path of the page; and path -> reason of each video of which there is no picture.

    Raises:
        UserError: `most` is below 1, or the output is a file.
    """
    library = library if isinstance(library, Library) else read_library(library)
    folder = Path(output)
    if most < 1:
        raise UserError(f"most must be at least 1. Received: {most}")
    if folder.exists() and not folder.is_dir():
        raise UserError(f"{folder} is a file. Choose a folder for the page.")
    rows = np.unique(np.linspace(0, len(library) - 1, min(most, len(library))).astype(int))
    loops, unread = _write_loops(library, rows, folder / "loops", workers, timeout)
    near, similarity, places = {}, {}, {}
    keys = np.array(library.keys, dtype=object)[rows]
    for kind in kinds_of(library):
        units = library.unit_vectors(BY[kind])[rows]
        near[kind], similarity[kind] = neighbors(units, np.unique(keys, return_inverse=True)[1])
        places[kind] = map_of(units)
    text = page_text(library, rows, loops, {"near": near, "similarity": similarity, "map": places})
    page = folder / "index.html"
    with atomic_file(page) as part:
        part.write_text(text, encoding="utf-8")
    return page, unread


def kinds_of(library: Library) -> list[str]:
    """Return what rows of a library can be compared by on the page."""
    return [kind for kind in ("appearance", "motion") if BY[kind] in library.widths] or ["pooled"]


def page_text(library: Library, rows: np.ndarray, loops: Sequence[str], more: Mapping) -> str:
    """Return the page of some rows as HTML.

    Args:
        library: the library.
        rows: numbers of the rows, int (N,).
        loops: name of the loop of each, "" if there is none.
        more: further data of the page.
    """
    spans = [
        [round(float(library.starts[row]), 2), round(float(library.ends[row]), 2)]
        if math.isfinite(library.ends[row])
        else None
        for row in rows
    ]
    data = {
        "title": f"{library.path.stem}: {len(rows):,} of {len(library):,} rows"
        if len(rows) < len(library)
        else library.path.stem,
        "frames": _FRAMES,
        "seconds": _SECONDS,
        "windows": library.info.get("every") is not None,
        "names": _names([library.paths[row] for row in rows]),
        "labels": [library.labels[row] for row in rows],
        "spans": spans,
        "loops": loops,
        "kinds": kinds_of(library),
        **more,
    }
    template = Path(__file__).with_name("page.html").read_text(encoding="utf-8")
    # In a script element nothing may look like a tag.
    text = json.dumps(data, separators=(",", ":")).replace("<", "\\u003c")
    return template.replace("__DATA__", text)


def loop_name(library: Library, row: int) -> str:
    """Return the name of a row's loop, another one when the video is another."""
    text = f"{library.keys[row]} {_record(library, row).span}"
    return hashlib.sha256(text.encode()).hexdigest()[:20]


def read_loops(
    library: Library, rows: Sequence[int], workers: int, timeout: float
) -> Iterator[tuple[int, bytes | None, str | None]]:
    """Yield the index in `rows` of each loop, its WebP file, and the reason if there is none."""
    import cv2

    from bod_keras.data import augmentation
    from bod_keras.data.loading.reader import ClipReader, Task
    from bod_keras.data.loading.sample_source import SampleSource

    clips, center = library.info["clips"], augmentation("none", _SIZE)
    reader = ClipReader(clips["frames"], clips["stride"], 0, center, center)
    source = SampleSource([_record(library, row) for row in rows], reader, workers, timeout)
    chosen = np.linspace(0, clips["frames"] - 1, _FRAMES).round().astype(int)
    shape = (1, clips["frames"], _SIZE, _SIZE, 3)
    tasks = (Task(i, i, None, 1) for i in range(len(rows)))
    with contextlib.closing(source.samples(tasks, shape, window=16 + 4 * workers)) as samples:
        for sample in samples:
            if sample.reason is not None:
                yield sample.task.index, None, sample.reason
                continue
            strip = np.concatenate(list(sample.clips[0][chosen]), axis=1)[..., ::-1]
            _, encoded = cv2.imencode(".webp", strip, [cv2.IMWRITE_WEBP_QUALITY, 60])
            yield sample.task.index, encoded.tobytes(), None


def _write_loops(
    library: Library, rows: np.ndarray, folder: Path, workers: int, timeout: float
) -> tuple[list[str], dict[str, str]]:
    """Name of the loop of each row, "" if there is none; and why."""
    folder.mkdir(parents=True, exist_ok=True)
    sweep_parts(folder)
    names = [loop_name(library, row) for row in rows]
    missing = [i for i, name in enumerate(names) if not (folder / f"{name}.webp").exists()]
    unread = {}
    loops = read_loops(library, [rows[i] for i in missing], workers, timeout)
    with contextlib.closing(loops), progress_bar(len(missing), "loops") as bar:
        for index, encoded, reason in loops:
            i = missing[index]
            bar.update()
            if encoded is None:
                unread[library.paths[rows[i]]] = reason
                names[i] = ""
                continue
            with atomic_file(folder / f"{names[i]}.webp") as part:
                part.write_bytes(encoded)
    return names, unread


def _record(library: Library, row: int) -> Record:
    start, end = float(library.starts[row]), float(library.ends[row])
    return Record(library.paths[row], span=(start, end) if math.isfinite(end) else None)


def neighbors(
    units: np.ndarray, files: np.ndarray, rows: Sequence[int] | None = None
) -> tuple[list, list]:
    """Return the nearest rows of other files, and their similarities in thousandths.

    Args:
        units: vectors of length 1, float32 (N, K).
        files: which file each is of, int (N,).
        rows: whose neighbors; None for those of all.
    """
    rows = np.arange(len(units)) if rows is None else np.asarray(rows)
    count = min(_NEIGHBORS, len(units) - 1)
    index, similarity = [], []
    for start in range(0, len(rows), _ROWS_AT_ONCE):
        asked = rows[start : start + _ROWS_AT_ONCE]
        block = units[asked] @ units.T
        block[files[asked, None] == files] = -2.0
        if count < 1:
            index += [[] for _ in block]
            similarity += [[] for _ in block]
            continue
        best = np.argpartition(-block, count - 1, axis=1)[:, :count]
        order = np.argsort(-np.take_along_axis(block, best, axis=1), axis=1, kind="stable")
        best = np.take_along_axis(best, order, axis=1)
        values = np.take_along_axis(block, best, axis=1)
        for row, cosine in zip(best, values):
            kept = cosine > -1.5
            index.append(row[kept].tolist())
            similarity.append(np.round(cosine[kept] * 1000).astype(int).tolist())
    return index, similarity


def map_of(units: np.ndarray) -> list[list[int]]:
    """Return the two directions of largest variance (PCA), each scaled to 0 to 1000."""
    centered = units - units.mean(axis=0)
    _, vectors = np.linalg.eigh(centered.T.astype(np.float64) @ centered)
    places = centered @ vectors[:, ::-1][:, :2]
    low, high = places.min(axis=0), places.max(axis=0)
    return (
        np.round(1000 * (places - low) / np.where(high > low, high - low, 1)).astype(int).tolist()
    )


def _names(paths: Sequence[str]) -> list[str]:
    """Paths without the folders that all share, as text."""
    folders = [path[: path.rfind("/") + 1] for path in paths]
    shared = os.path.commonprefix([min(folders), max(folders)])
    shared = shared[: shared.rfind("/") + 1]
    return [path[len(shared) :].encode(errors="backslashreplace").decode() for path in paths]
