"""The files of a data set by name, wherever below a folder they lie."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Iterable

from bod_keras.data.datasets.base import Catalog
from bod_keras.data.datasets.catalog import VIDEO_EXTENSIONS, find_videos
from bod_keras.data.record import Record
from bod_keras.errors import UserError
from bod_keras.storage.remote import is_folder, is_remote


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

    >>> import os
    >>> from bod_keras.data.datasets import VideoFiles
    >>> import pathlib, tempfile
    >>> with tempfile.TemporaryDirectory() as root:
    ...     pathlib.Path(root, "-a [1].webm").touch()
    ...     os.path.basename(VideoFiles(root).find("test/-a [1].avi"))
    '-a [1].webm'
    """

    def __init__(self, root: str | os.PathLike, ignore_case: bool = False):
        self.root = os.fspath(root)
        if not (is_folder if is_remote(self.root) else os.path.isdir)(self.root):
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
            ValueError: if several files fit equally well.
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
        """Match annotated videos with their files.

        Args:
            annotated: records whose `path` is the annotated name.
            class_names: names of the classes.
            flip_safe: whether a flipped clip keeps its label.

        Returns:
            A `Catalog`; names without a file are in its `missing`, each once.
        """
        records, missing, places = [], {}, {}
        for record in annotated:
            if record.path not in places:
                places[record.path] = self.find(record.path)
            path = places[record.path]
            if path is None:
                missing[record.path] = None
            else:
                records.append(dataclasses.replace(record, path=path))
        return Catalog(records, class_names, flip_safe, list(missing))


def _stem(path: str) -> str:
    name = os.path.basename(path)
    stem, extension = os.path.splitext(name)
    return stem if extension.lower() in VIDEO_EXTENSIONS else name
