"""A folder, a list, a CSV file or a folder of shards as a `Catalog`."""

from __future__ import annotations

import os

from bod_keras.data.catalog import read_catalog
from bod_keras.data.datasets.base import Catalog
from bod_keras.data.record import Record
from bod_keras.data.shard_manifest import is_shard_folder, read_manifest


def read_source(
    source: str | os.PathLike, root: str | os.PathLike | None = None, split: str | None = None
) -> Catalog:
    """Read what `read_catalog` reads; with the class names of a folder a class, and of shards, and the
    flips of their source.

    Args:
        source: as of `read_catalog`.
        root: as of `read_catalog`.
        split: as of `read_catalog`.

    Returns:
        A `Catalog`.

    Raises:
        FileNotFoundError: as `read_catalog`.
        ValueError: as `read_catalog`.

    Example:

    >>> read_source("shards").flip_safe  # doctest: +SKIP
    False
    """
    records = read_catalog(source, root=root, split=split)
    if not is_shard_folder(source):
        return Catalog(records, _folder_classes(os.fspath(source), records))
    manifest = read_manifest(source)
    return Catalog(records, manifest["class_names"], manifest["flip_safe"])


def _folder_classes(source: str, records: list[Record]) -> list[str]:
    """Names of the top-level sub-folders, in the order of the labels; none of a list or a CSV file."""
    inside = [record for record in records if record.path.startswith(source.rstrip("/") + "/")]
    if len(inside) < len(records) or any(record.label is None for record in records):
        return []
    names = {r.label: r.path[len(source.rstrip("/")) + 1 :].split("/")[0] for r in records}
    return [names[label] for label in sorted(names)]
