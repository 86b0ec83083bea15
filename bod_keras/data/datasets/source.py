"""A folder, a list, a CSV file or a folder of shards as a `Catalog`."""

from __future__ import annotations

import os

from bod_keras.data.datasets.base import Catalog
from bod_keras.data.datasets.catalog import class_names, read_catalog
from bod_keras.data.shards.shard_manifest import is_shard_folder, read_manifest
from bod_keras.storage.remote import is_folder, is_remote


def read_source(
    source: str | os.PathLike, root: str | os.PathLike | None = None, split: str | None = None
) -> Catalog:
    """Read what `read_catalog` reads, with the class names of folders, and of shards with their flips, too.

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

    >>> from bod_keras.data import read_source
    >>> read_source("shards").flip_safe  # doctest: +SKIP
    False
    """
    records = read_catalog(source, root=root, split=split)
    if not is_shard_folder(source):
        is_dir = is_folder if is_remote(source) else os.path.isdir
        return Catalog(records, class_names(source) if is_dir(source) else [])
    manifest = read_manifest(source)
    return Catalog(records, manifest["class_names"], manifest["flip_safe"])
