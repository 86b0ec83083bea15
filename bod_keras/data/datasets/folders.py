"""Folders of videos: what is in them, a folder a class, and files by the name in an annotation."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Iterable

from bod_keras.data.record import Catalog, Record, some
from bod_keras.data.video.frame_folders import is_frame
from bod_keras.errors import UserError
from bod_keras.storage import remote

VIDEO_EXTENSIONS = (
    *(
        ".3g2",
        ".3gp",
        ".asf",
        ".avi",
        ".divx",
        ".f4v",
        ".flv",
        ".m2ts",
        ".m2v",
        ".m4v",
        ".mkv",
        ".mov",
    ),
    *(
        ".mp4",
        ".mpe",
        ".mpeg",
        ".mpg",
        ".mts",
        ".mxf",
        ".ogv",
        ".qt",
        ".rm",
        ".ts",
        ".vob",
        ".webm",
        ".wmv",
    ),
)
# What lies beside videos and is none.
_OTHERS = (
    *(
        ".bib",
        ".cfg",
        ".csv",
        ".db",
        ".doc",
        ".docx",
        ".html",
        ".ini",
        ".json",
        ".jsonl",
        ".log",
        ".md",
    ),
    *(".pdf", ".py", ".rst", ".sh", ".tsv", ".txt", ".xls", ".xlsx", ".xml", ".yaml", ".yml"),
    *(".h5", ".mat", ".npy", ".npz", ".pbtxt", ".pkl", ".srt", ".vtt", ".ass", ".sub"),
    *(".7z", ".bz2", ".gz", ".rar", ".tar", ".xz", ".zip"),
    *(".aac", ".flac", ".m4a", ".mp3", ".ogg", ".opus", ".wav"),
    *(".bmp", ".jpeg", ".jpg", ".png", ".svg", ".webp"),
)


def find_videos(folder: str | os.PathLike, frame_folders: bool = False) -> list[str]:
    """Find the videos in a folder and below it, in sorted order, without hidden ones.

    Args:
        folder: where to look. Links are followed.
        frame_folders: find folders of numbered images, too; only in a local folder.

    Returns:
        Paths relative to `folder`.

    Raises:
        UserError: if a folder below cannot be read, or a link to one leads nowhere.

    Example:
        >>> from bod_keras.data.datasets.folders import find_videos
        >>> find_videos("UCF-101")[0]  # doctest: +SKIP
        'ApplyEyeMakeup/v_ApplyEyeMakeup_g01_c01.avi'
    """
    return [name for name, is_folder in _find(os.fspath(folder)) if frame_folders or not is_folder]


def read_folder(folder: str) -> Catalog:
    """Read a folder of videos; where every one lies in a sub-folder, the top-level ones are the classes.

    Args:
        folder: a folder with video files, or else with folders of numbered images, which may be remote.

    Returns:
        A `Catalog`; `remarks` says which videos keep it from having classes, and what was left out.

    Raises:
        UserError: if there is no video, or a folder cannot be read.
    """
    other: list[str] = []
    found = _find(folder, other)
    names = [name for name, is_folder in found if not is_folder]
    images = [name for name, is_folder in found if is_folder]
    remarks = []
    if names and images:
        remarks.append(
            f"{len(images)} folders of images ignored beside video files ({some(images)})"
        )
    names = names or images
    if not names:
        raise UserError(
            f"There is no video in the folder {folder!r} or below it. "
            f"Known extensions: {' '.join(VIDEO_EXTENSIONS)}; or folders of numbered images."
        )
    if other:
        remarks.append(f"{len(other)} files of other extensions ignored ({some(other)})")
    tops = [name.split(os.sep, 1)[0] for name in names]
    outside = [name for name in names if os.sep not in name]
    if outside and len(outside) < len(names):
        remarks.append(f"{len(outside)} outside of the class folders ({some(outside)})")
    classes = [] if outside else sorted(set(tops))
    if classes and not remote.is_remote(folder):
        empty = sorted(_folders(folder) - set(classes))
        if empty:
            remarks.append(f"no video in {some(empty)}")
    labels = {name: number for number, name in enumerate(classes)}
    records = [Record(os.path.join(folder, n), labels.get(t)) for n, t in zip(names, tops)]
    return Catalog(records, classes, remarks=remarks)


class VideoFiles:
    """Video files and folders of frames below a folder, found by the name in an annotation.

    A name is compared without its extension, because data sets are often kept in another container
    than the official one. The folders in front of it decide only between files of equal names.

    Args:
        root: the folder; it is walked once.
        ignore_case: compare names without regard to case where no exact match exists.

    Raises:
        FileNotFoundError: if there is no such folder.

    Example:
        >>> import os, pathlib, tempfile
        >>> from bod_keras.data.datasets import VideoFiles
        >>> with tempfile.TemporaryDirectory() as root:
        ...     pathlib.Path(root, "-a [1].webm").touch()
        ...     os.path.basename(VideoFiles(root).find("test/-a [1].avi"))
        '-a [1].webm'
    """

    def __init__(self, root: str | os.PathLike, ignore_case: bool = False):
        self.root = os.fspath(root)
        if not (remote.is_folder if remote.is_remote(self.root) else os.path.isdir)(self.root):
            raise FileNotFoundError(
                f"There is no folder {self.root!r}. Expected the folder of the data set's videos."
            )
        self._names: dict[str, list[str]] = {}
        self._folded: dict[str, list[str]] = {}
        for path in find_videos(self.root, frame_folders=True):
            stem = _stem(path)
            self._names.setdefault(stem, []).append(path)
            if ignore_case:
                self._folded.setdefault(stem.casefold(), []).append(path)

    def find(self, name: str) -> str | None:
        """Find the file of an annotated name.

        Args:
            name: name of the file, with or without folders and extension.

        Returns:
            Path of the file or folder of frames; None if there is none.

        Raises:
            UserError: if several files fit equally well.
        """
        stem = _stem(name)
        found = self._names.get(stem) or self._folded.get(stem.casefold(), [])
        if len(found) > 1:
            folder = os.path.basename(os.path.dirname(name))
            same = [path for path in found if os.path.basename(os.path.dirname(path)) == folder]
            found = same or found
        if len(found) > 1:
            raise UserError(
                f"{self.root} holds several files for {name!r}: {', '.join(found[:3])}. Keep one of "
                "them, or give a folder that holds only one (--root, or --config.data.root)."
            )
        return os.path.join(self.root, found[0]) if found else None

    def catalog(
        self, annotated: Iterable[Record], class_names: list[str], flip_safe: bool = True
    ) -> Catalog:
        """Match annotated videos with their files; equal records become one.

        Args:
            annotated: records whose `path` is the annotated name.
            class_names: names of the classes.
            flip_safe: whether a flipped clip keeps its label.

        Returns:
            A `Catalog`; names without a file are in its `missing`, each once.
        """
        places: dict[str, str | None] = {}
        records = []
        for record in annotated:
            if record.path not in places:
                places[record.path] = self.find(record.path)
            path = places[record.path]
            if path is not None:
                records.append(dataclasses.replace(record, path=path))
        missing = [name for name, path in places.items() if path is None]
        records, remarks = without_repeats(records)
        remarks += _contradictions(records)
        return Catalog(records, class_names, flip_safe, missing, remarks=remarks)


def without_repeats(records: Iterable[Record]) -> tuple[list[Record], list[str]]:
    """Give records without those that equal an earlier one, and what is to be said of these."""
    found: dict[tuple, list[Record]] = {}
    kept, again = [], []
    for record in records:
        same = found.setdefault((record.path, record.label, record.split, record.span), [])
        if record in same:
            again.append(os.path.basename(record.path))
        else:
            same.append(record)
            kept.append(record)
    said = f"{len(again)} repeated annotation{'s' * (len(again) > 1)} merged ({some(again)})"
    return kept, [said] if again else []


def _contradictions(records: Iterable[Record]) -> list[str]:
    """Say which videos are annotated twice, with different labels or in different splits."""
    first: dict[tuple, Record] = {}
    labels, splits = {}, {}
    for record in records:
        before = first.setdefault((record.path, record.span), record)
        if before.label != record.label:
            labels[os.path.basename(record.path)] = None
        elif before.split != record.split:
            splits[os.path.basename(record.path)] = None
    return [
        f"{len(found)} annotated with two {what} ({some(list(found))})"
        for what, found in (("labels", labels), ("splits", splits))
        if found
    ]


def _find(folder: str, other: list[str] | None = None) -> list[tuple[str, bool]]:
    """Relative paths of videos, and whether each is a folder of images; what may be one goes to `other`."""
    if remote.is_remote(folder):
        return [
            (name, False)
            for name in remote.list_files(folder, VIDEO_EXTENSIONS)
            if name.lower().endswith(VIDEO_EXTENSIONS)
            and not any(part.startswith(".") for part in name.split("/"))
        ]
    # No glob: names may hold [brackets].
    found: list[tuple[str, bool]] = []
    visited: set[str] = set()
    waiting = [""]
    while waiting:
        inside = waiting.pop()
        place = os.path.join(folder, inside)
        # Data sets are often trees of links; a link to a folder above must not loop for ever.
        real = os.path.realpath(place)
        if real in visited:
            continue
        visited.add(real)
        folders, files, images = [], [], False
        for entry in _entries(place):
            if _is_folder(entry):
                folders.append(entry.name)
            elif entry.name.lower().endswith(VIDEO_EXTENSIONS):
                files.append(entry.name)
            elif is_frame(entry.name):
                images = True
            elif entry.is_symlink() and not os.path.exists(entry.path):
                raise UserError(
                    f"{entry.path} is a link that leads nowhere. If it is a folder of videos, all labels would "
                    "move: make its target reachable, or remove the link."
                )
            elif other is not None and os.path.splitext(entry.name)[1].lower() not in (
                "",
                *_OTHERS,
            ):
                other.append(os.path.join(inside, entry.name))
        found += [(os.path.join(inside, name), False) for name in sorted(files)]
        if images:
            found.append((inside or ".", True))
        waiting += [os.path.join(inside, name) for name in sorted(folders, reverse=True)]
    return found


def _entries(place: str) -> list[os.DirEntry]:
    try:
        with os.scandir(place) as entries:
            return [entry for entry in entries if not entry.name.startswith(".")]
    except OSError as error:
        raise UserError(
            f"The folder {place!r} cannot be read: {error.strerror}. Its videos would be left out and labels "
            "move: make it readable, or take it out of the folder of the videos."
        ) from None


def _folders(place: str) -> set[str]:
    return {entry.name for entry in _entries(place) if _is_folder(entry)}


def _is_folder(entry: os.DirEntry) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link that leads to itself
        return False


def _stem(path: str) -> str:
    name = os.path.basename(path)
    stem, extension = os.path.splitext(name)
    return stem if extension.lower() in VIDEO_EXTENSIONS else name
