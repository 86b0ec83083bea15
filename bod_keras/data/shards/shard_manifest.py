"""The manifest of a folder of shards: what is in which record of which file."""

from __future__ import annotations

import dataclasses
import json
import os
from pathlib import Path

from bod_keras.data.record import Box, Record
from bod_keras.data.shards.check_manifest import check_manifest
from bod_keras.errors import UserError
from bod_keras.storage import remote
from bod_keras.storage.atomic_file import atomic_file
from bod_keras.storage.regular_file import regular_file

MANIFEST = "manifest.json"
# What a run leaves in the folder until it has finished.
UNFINISHED = "unfinished"
FORMAT = "bod_keras.shards"
# Raise it when a reader of the old layout would misread the new one.
VERSION = 1


def is_shard_folder(folder: str | os.PathLike) -> bool:
    """Say whether a folder was written by `write_shards`, finished or not.

    Args:
        folder: any folder.

    Returns:
        True or False.

    Example:
        >>> from bod_keras.data.shards.shard_manifest import is_shard_folder
        >>> is_shard_folder(".")
        False
    """
    path = os.path.join(folder, MANIFEST)
    if remote.is_remote(path):  # shards are finished before they are copied there
        return remote.exists(path) and FORMAT.encode() in remote.read_range(path, 0, 100)
    if os.path.exists(os.path.join(folder, UNFINISHED, MANIFEST)):
        return True
    try:
        with open(regular_file(path), encoding="utf-8") as stream:
            return FORMAT in stream.read(100)
    except (OSError, UnicodeDecodeError):
        return False


def read_manifest(folder: str | os.PathLike) -> dict:
    """Read the manifest of a finished folder of shards.

    Args:
        folder: where `write_shards` wrote.

    Returns:
        The manifest; docs/shards.md describes it.

    Raises:
        FileNotFoundError: if there is none; `RemoteError` if the folder is remote.
        ValueError: if the folder is unfinished, or the manifest damaged or of another version.

    Example:
        >>> from bod_keras.data import read_manifest
        >>> read_manifest("shards")["totals"]  # doctest: +SKIP
        {'videos': 9537, 'frames': 1785432, 'bytes': 9812345678, 'skipped': 0}
    """
    path = os.path.join(folder, MANIFEST)
    if os.path.exists(os.path.join(folder, UNFINISHED)) and not os.path.exists(path):
        raise UserError(
            f"The shards in {folder} are not finished. Run the command that writes them once more; "
            "it continues where it stopped."
        )
    data = remote.read_bytes(path) if remote.is_remote(path) else regular_file(path).read_bytes()
    manifest = _parsed(data, path)
    found = (manifest.get("format"), manifest.get("version"))
    if found != (FORMAT, VERSION):
        raise UserError(
            f"{path} must have format {FORMAT!r}, version {VERSION}. Received: {found}. Write the "
            "shards again with this version of bod_keras."
        )
    check_manifest(manifest, path)
    return manifest


def _parsed(data: bytes, path: str) -> dict:
    try:
        manifest = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise UserError(f"{path} is damaged: {error}. Write the shards again.") from None
    if not isinstance(manifest, dict):
        raise UserError(f"{path} is damaged: it holds no dict. Write the shards again.")
    return manifest


def read_unfinished(path: Path) -> dict | None:
    """Return what an unfinished folder was begun with; None if there is nothing, or it is damaged."""
    try:
        manifest = _parsed(regular_file(path).read_bytes(), str(path))
    except (FileNotFoundError, UserError):
        return None
    whole = isinstance(manifest.get("settings"), dict) and "source_sha256" in manifest
    return manifest if whole else None


def write_manifest(path: Path, manifest: dict) -> None:
    """Write a manifest, with one line for each value, and for each entry of a list."""
    lines = []
    for name, value in manifest.items():
        text = json.dumps(value)
        if isinstance(value, list) and value:
            text = "[\n  " + ",\n  ".join(map(json.dumps, value)) + "\n ]"
        lines.append(f"{json.dumps(name)}: {text}")
    with atomic_file(path) as part:
        part.write_text("{\n " + ",\n ".join(lines) + "\n}\n", encoding="utf-8")


def shard_records(folder: str | os.PathLike) -> list[Record]:
    """Give the records of a folder of shards, in the order of those it was written from.

    Args:
        folder: where `write_shards` wrote.

    Returns:
        List of `Record` with the path `<file>.tfrecord#<key>`; `read_catalog` gives the same.

    Raises:
        FileNotFoundError: as `read_manifest`.
        ValueError: as `read_manifest`; or if all videos were skipped.

    Example:
        >>> from bod_keras.data.shards.shard_manifest import shard_records
        >>> shard_records("shards")[0].path  # doctest: +SKIP
        'shards/shard-00000.tfrecord#ApplyEyeMakeup/v_ApplyEyeMakeup_g01_c01.avi'
    """
    manifest = read_manifest(folder)
    if not manifest["records"]:
        raise UserError(f"{folder} holds no video: every one was skipped when it was written.")
    paths = [
        f"{os.path.join(folder, manifest['shards'][video['shard']]['file'])}#{video['key']}"
        for video in manifest["videos"]
    ]
    try:
        return [record_from_json(paths[entry["video"]], entry) for entry in manifest["records"]]
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise UserError(
            f"The manifest {os.path.join(folder, MANIFEST)} is damaged: a record cannot be read "
            f"({type(error).__name__}: {error}). Write the shards again."
        ) from None


def record_to_json(record: Record) -> dict:
    """What is known of a record besides its path, without what is not known.

    Args:
        record: any record.

    Returns:
        Dictionary that JSON can hold.

    Example:
        >>> from bod_keras.data import Record
        >>> from bod_keras.data.shards.shard_manifest import record_to_json
        >>> record_to_json(Record("a.avi", label=3, split="train"))
        {'label': 3, 'split': 'train'}
    """
    known = {field.name: getattr(record, field.name) for field in dataclasses.fields(Record)}
    del known["path"]
    known["boxes"] = [dataclasses.asdict(box) for box in record.boxes]
    return {name: value for name, value in known.items() if value not in (None, {}, (), [])}


def record_from_json(path: str, entry: dict) -> Record:
    """Make the record of `record_to_json` again.

    Args:
        path: of the record.
        entry: the dictionary.

    Returns:
        The `Record`.

    Example:
        >>> from bod_keras.data.shards.shard_manifest import record_from_json
        >>> record_from_json("a.avi", {"label": 3, "span": [1.0, 2.5]}).span
        (1.0, 2.5)
    """
    span = entry.get("span")
    boxes = [
        Box(**{**box, "corners": tuple(box["corners"]), "labels": tuple(box["labels"])})
        for box in entry.get("boxes", ())
    ]
    return Record(
        path,
        label=entry.get("label"),
        factors=entry.get("factors", {}),
        split=entry.get("split"),
        labels=tuple(entry.get("labels", ())),
        span=None if span is None else tuple(span),
        boxes=tuple(boxes),
    )
