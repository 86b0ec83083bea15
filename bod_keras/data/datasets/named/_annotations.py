"""What the readers of the data sets share: how annotation files are found, read and checked."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator
from typing import Any

from bod_keras.data.datasets.text import read_text, to_integer
from bod_keras.errors import UserError


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
        UserError: if several files fit.
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


def read_json(path: str) -> Any:
    """Read a JSON file; what is wrong with it, such as two values of one key, is said with its name."""
    try:
        return json.loads(read_text(path), object_pairs_hook=_once)
    except (ValueError, RecursionError) as error:
        if isinstance(error, UserError):
            raise
        raise UserError(f"{path} is not valid JSON: {error}") from None


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"the key {twice!r} occurs twice in one object")
    return found


def read_entries(path: str, *keys: str) -> list[dict[str, Any]]:
    """Read a JSON file that is a list of objects which all have these keys."""
    entries = read_json(path)
    if not isinstance(entries, list):
        raise UserError(f"{path} must hold a list. Received: {type(entries).__name__}")
    for entry in entries:
        if not isinstance(entry, dict) or not set(keys) <= set(entry):
            raise UserError(f"{path}: expected objects with {', '.join(keys)}. Received: {entry}")
    return entries


def check_label(label: object, classes: int, place: str, of: str) -> int:
    """Return a label that numbers one of the classes.

    Args:
        label: what came.
        classes: number of classes.
        place: file, and line or video, for the message.
        of: where the classes are listed.

    Raises:
        UserError: it is no integer, or out of range.

    Example:
        >>> from bod_keras.data.datasets.named._annotations import check_label
        >>> check_label("3", 48, "train.json", "vocab.json")
        3
    """
    number = to_integer(label) if isinstance(label, str) else label
    if isinstance(number, bool) or not isinstance(number, int) or not 0 <= number < classes:
        raise UserError(
            f"{place}: labels must lie in 0 to {classes - 1}, as in {of}. Received: {label!r}"
        )
    return number


def _named(folder: str, pattern: str) -> Iterator[str]:
    for name in sorted(os.listdir(folder)):
        path = os.path.join(folder, name)
        if re.fullmatch(pattern, name, re.IGNORECASE) and os.path.isfile(path):
            yield path
