"""What the readers of the data sets share: their result, and how annotation files are found."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from bod_keras.data.record import Record
from bod_keras.errors import UserError


@dataclass(frozen=True)
class Catalog:
    """The videos of a data set, matched with their annotations.

    Args:
        records: what annotations and files both have; `path` is the file.
        class_names: names of the classes, in the order of their numbers.
        flip_safe: whether a clip that is flipped left to right keeps its label.
        missing: annotated names for which there is no file.
        blocked: path -> reason of what a blocklist leaves out.

    Example:

    >>> from bod_keras.data import Catalog, Record
    >>> Catalog([Record("UCF-101/Archery/a.avi", label=0)], ["Archery"]).class_names
    ['Archery']
    """

    records: list[Record]
    class_names: list[str] = field(default_factory=list)
    flip_safe: bool = True
    missing: list[str] = field(default_factory=list)
    blocked: dict[str, str] = field(default_factory=dict)


def annotation_file(folder: str, pattern: str, needed: str) -> str:
    """Find the one annotation file of a pattern, in a folder or right below it.

    Archives unpack their files into a sub-folder, so direct sub-folders are searched where the
    folder itself has no such file.

    Args:
        folder: the folder of the annotations.
        pattern: regular expression of the whole file name; case does not matter.
        needed: what the file is, for the error.

    Returns:
        The path of the file.

    Raises:
        FileNotFoundError: if the folder or the file is missing.
        ValueError: if several files fit.
    """
    if not os.path.isdir(folder):
        raise FileNotFoundError(
            f"There is no folder of annotations {folder!r}. Expected one that holds {needed}."
        )
    found = list(_named(folder, pattern))
    if not found:
        below = sorted(entry.path for entry in os.scandir(folder) if entry.is_dir())
        found = [path for sub in below for path in _named(sub, pattern)]
    if not found:
        raise FileNotFoundError(
            f"{folder} does not hold {needed}, nor does a folder right below it. Give the folder of "
            "the official annotation files (--annotations, or --config.data.annotations)."
        )
    if len(found) > 1:
        raise UserError(
            f"{folder} holds several files that could be {needed}: {', '.join(found[:3])}. Give a "
            "folder with one of them."
        )
    return found[0]


def lines_of(path: str) -> Iterator[str]:
    """Give the lines of a text file that hold something, without line ends and outer spaces."""
    with open(path, encoding="utf-8-sig") as stream:
        for line in stream:
            if line.strip():
                yield line.strip()


def read_json(path: str):
    """Read a JSON file; what is wrong with it is said with its name."""
    with open(path, encoding="utf-8-sig") as stream:
        try:
            return json.load(stream)
        except ValueError as error:
            raise UserError(f"{path} is not valid JSON: {error}") from None


def read_entries(path: str, *keys: str) -> list[dict]:
    """Read a JSON file that is a list of objects which all have these keys."""
    entries = read_json(path)
    if not isinstance(entries, list):
        raise UserError(f"{path} must hold a list. Received: {type(entries).__name__}")
    for entry in entries:
        if not isinstance(entry, dict) or not set(keys) <= set(entry):
            raise UserError(f"{path}: expected objects with {', '.join(keys)}. Received: {entry}")
    return entries


def _named(folder: str, pattern: str) -> Iterator[str]:
    for name in sorted(os.listdir(folder)):
        path = os.path.join(folder, name)
        if re.fullmatch(pattern, name, re.IGNORECASE) and os.path.isfile(path):
            yield path
