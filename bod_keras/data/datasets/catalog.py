"""Where the videos are and what is known of them: folders, list files and CSV files -> records."""

from __future__ import annotations

import csv
import io
import os
import re

from bod_keras.data.record import Record
from bod_keras.data.shards.shard_manifest import is_shard_folder, read_manifest, shard_records
from bod_keras.data.video.frame_folders import is_frame
from bod_keras.errors import UserError
from bod_keras.storage import remote

VIDEO_EXTENSIONS = (
    *(".3gp", ".avi", ".flv", ".m2ts", ".m4v", ".mkv", ".mov", ".mp4", ".mpeg", ".mpg"),
    *(".mts", ".ogv", ".ts", ".webm", ".wmv"),
)
_CSV_RESERVED = ("path", "split", "label")
# The shortest path after which there are only integers.
_LISTED = re.compile(r"(?P<path>.*?)(?P<numbers>(?:[ \t,]+-?\d+)*)")


def read_catalog(
    source: str | os.PathLike, root: str | os.PathLike | None = None, split: str | None = None
) -> list[Record]:
    """Read a folder, a list file or a CSV file of videos, or a folder of shards.

    - A folder is searched with all its sub-folders, in sorted order; hidden names are left out. If
      every video lies in a sub-folder, the label is the index of the top-level sub-folder
      (`class_names`). Where there is no video file, folders of numbered images are taken. A
      folder that `write_shards` wrote gives the records that it was written from.
    - A list file has one video a line: a path and, after spaces, tabs or commas, its label or
      labels, integers. Paths may hold spaces; empty lines and lines that begin with # are left out.
      After a path without a video's extension, a folder of frames, the first of several numbers is
      the number of frames (`some/dir 163 1`), as is a single one after a comma
      (`some/dir,300`); neither is needed here.
    - A CSV file has a header with a `path` column, and `label` and `split` if it likes; every other
      column whose cells are all integers becomes a factor. One without a header is read as a list.

    A listed path may also be a folder of numbered images. Whether the listed files exist is not
    checked here: the loader skips and names broken ones. Source, root and paths may have a scheme,
    as `s3://bucket/videos`; http has no folders.

    Args:
        source: the folder or file.
        root: what relative paths in a list or CSV file are relative to; None for the folder of
            that file.
        split: keep the records of this split only; None for all. Needs a CSV file.

    Returns:
        List of `Record`.

    Raises:
        FileNotFoundError: if the source does not exist.
        RemoteError: if the source has a scheme and its storage does not answer.
        ValueError: if it holds no video, cannot be parsed, or has no such split.

    Example:

    >>> from bod_keras.data import read_catalog
    >>> import pathlib, tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     listing = pathlib.Path(folder, "list.txt")
    ...     _ = listing.write_text("a b.mp4 3")
    ...     read_catalog(listing, root="videos")[0].label
    3
    """
    source = os.fspath(source)
    away = remote.is_remote(source)
    if not (remote.exists if away else os.path.exists)(source):
        raise FileNotFoundError(
            f"There is no folder or list file {source!r}. Give a folder of videos, a list file "
            "with one 'path label' a line, or a .csv file with a 'path' column."
            + (" Access that is refused looks the same: check the credentials." if away else "")
        )
    if (remote.is_folder if away else os.path.isdir)(source):
        records = shard_records(source) if is_shard_folder(source) else _read_folder(source)
    else:
        place = source if away else os.path.abspath(source)
        base = os.path.dirname(place) if root is None else os.fspath(root)
        read = _read_csv if source.lower().endswith(".csv") else _read_list
        records = read(source, base)
        if not records:
            raise UserError(f"{source} lists no video. Expected one video a line.")
    return records if split is None else _select(records, split, source)


def class_names(folder: str | os.PathLike) -> list[str]:
    """Give the class names of a folder-per-class tree, or of shards, in the order of their labels.

    Args:
        folder: a folder whose top-level sub-folders hold the videos of one class each; or a folder
            of shards.

    Returns:
        Sorted names of the top-level sub-folders that hold videos; empty if a video lies outside
        of them, for then there are no classes.

    Example:

    >>> from bod_keras.data import class_names
    >>> class_names("ucf101")[:2]  # doctest: +SKIP
    ['ApplyEyeMakeup', 'ApplyLipstick']
    """
    if is_shard_folder(folder):
        return read_manifest(folder)["class_names"]
    return _top_folders(_find(folder))


def _find(folder: str | os.PathLike) -> list[str]:
    """Video files; where there are none, folders of frames."""
    return find_videos(folder) or find_videos(folder, frame_folders=True)


def _top_folders(names: list[str]) -> list[str]:
    if any(os.sep not in name for name in names):
        return []
    return sorted({name.split(os.sep, 1)[0] for name in names})


def find_videos(folder: str | os.PathLike, frame_folders: bool = False) -> list[str]:
    """Find the videos in a folder and below it, in sorted order, without hidden ones.

    Args:
        folder: where to look. Links are followed.
        frame_folders: find folders of numbered images, too; only in a local folder.

    Returns:
        Paths relative to `folder`.

    Example:

    >>> from bod_keras.data.datasets.catalog import find_videos
    >>> find_videos("UCF-101")[0]  # doctest: +SKIP
    'ApplyEyeMakeup/v_ApplyEyeMakeup_g01_c01.avi'
    """
    if remote.is_remote(folder):
        return [
            name
            for name in remote.list_files(os.fspath(folder), VIDEO_EXTENSIONS)
            if name.lower().endswith(VIDEO_EXTENSIONS)
            and not any(part.startswith(".") for part in name.split("/"))
        ]
    # No glob: names may hold [brackets].
    found, visited = [], set()
    for place, folders, files in os.walk(folder, followlinks=True):
        # Data sets are often trees of links; a link to a folder above must not loop for ever.
        real = os.path.realpath(place)
        if real in visited:
            folders.clear()
            continue
        visited.add(real)
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        inside = os.path.relpath(place, folder)
        found += [
            os.path.normpath(os.path.join(inside, name))
            for name in sorted(files)
            if not name.startswith(".") and name.lower().endswith(VIDEO_EXTENSIONS)
        ]
        if frame_folders and any(map(is_frame, files)):
            found.append(inside)
    return found


def _read_folder(folder: str) -> list[Record]:
    names = _find(folder)
    if not names:
        raise UserError(
            f"There is no video in the folder {folder!r} or below it. "
            f"Known extensions: {' '.join(VIDEO_EXTENSIONS)}; or folders of numbered images."
        )
    labels = {name: index for index, name in enumerate(_top_folders(names))}
    return [
        Record(os.path.join(folder, name), label=labels.get(name.split(os.sep, 1)[0]))
        for name in names
    ]


def _read_list(source: str, base: str) -> list[Record]:
    with _open_text(source) as stream:
        lines = [line for line in map(str.strip, stream) if line and not line.startswith("#")]
    return [_listed(line, base) for line in lines]


def _listed(line: str, base: str) -> Record:
    path, numbers = _LISTED.fullmatch(line).group("path", "numbers")
    labels = tuple(int(number) for number in re.findall(r"-?\d+", numbers))
    is_folder = not path.lower().endswith(VIDEO_EXTENSIONS)
    if is_folder and (len(labels) > 1 or "," in numbers):
        labels = labels[1:]
    path = _join(base, path)
    return Record(path, labels=labels) if len(labels) > 1 else Record(path, *labels)


def _read_csv(source: str, base: str) -> list[Record]:
    with _open_text(source, newline="") as stream:
        reader = csv.DictReader(stream)
        columns = reader.fieldnames or []
        if "path" not in columns and _is_list(",".join(columns)):
            return _read_list(source, base)
        if "path" not in columns:
            raise UserError(
                f"{source} must begin with a header line that has a 'path' column. "
                f"Received columns: {columns}"
            )
        rows = list(reader)
    for line, row in enumerate(rows, start=2):
        if None in row or None in row.values():
            raise UserError(
                f"{source}, record in line {line} or after: expected {len(columns)} cells as in "
                "the header. Put paths with commas in double quotes."
            )
    factors = [
        name
        for name in columns
        if name not in _CSV_RESERVED and all(_is_integer(row[name]) for row in rows)
    ]
    for row in rows:
        if row.get("label") and not _is_integer(row["label"]):
            raise UserError(
                f"{source}: column 'label' must hold integers. Received: {row['label']!r} for "
                f"{row['path']!r}"
            )
    return [
        Record(
            _join(base, row["path"]),
            label=int(row["label"]) if row.get("label") else None,
            factors={name: int(row[name]) for name in factors},
            split=row.get("split") or None,
        )
        for row in rows
    ]


def _is_list(line: str) -> bool:
    """Whether a line is a path with numbers, or a path, and no header."""
    return bool(_LISTED.fullmatch(line)["numbers"]) or line.lower().endswith(VIDEO_EXTENSIONS)


def _open_text(source: str, newline: str | None = None) -> io.TextIOBase:
    if remote.is_remote(source):
        data = io.BytesIO(remote.read_bytes(source))
        return io.TextIOWrapper(data, encoding="utf-8-sig", newline=newline)
    return open(source, encoding="utf-8-sig", newline=newline)


def _join(base: str, path: str) -> str:
    return path if remote.is_remote(path) else os.path.join(base, path)


def _is_integer(text: str) -> bool:
    try:
        int(text)
    except ValueError:
        return False
    return True


def _select(records: list[Record], split: str, source: str) -> list[Record]:
    chosen = [record for record in records if record.split == split]
    if not chosen:
        names = sorted({record.split for record in records if record.split is not None})
        there = f"It has: {', '.join(names)}" if names else "It has no splits"
        raise UserError(
            f"{source} has no split {split!r}. {there}. Splits are named in the 'split' column of "
            "a .csv file."
        )
    return chosen
