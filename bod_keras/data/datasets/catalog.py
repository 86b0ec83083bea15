"""Where the videos are and what is known of them: a folder, a list or a folder of shards -> a `Catalog`."""

from __future__ import annotations

import os
import warnings

from bod_keras.data.datasets.folders import VIDEO_EXTENSIONS, read_folder
from bod_keras.data.datasets.lists import no_such_split, read_list
from bod_keras.data.record import Catalog, Record
from bod_keras.data.shards.shard_manifest import is_shard_folder, read_manifest, shard_records
from bod_keras.errors import UserError
from bod_keras.storage import remote
from bod_keras.storage.remote_error import without_secrets


def read_source(
    source: str | os.PathLike, root: str | os.PathLike | None = None, split: str | None = None
) -> Catalog:
    """Read a folder or a list of videos, a folder of shards, or one video.

    - A folder is searched with all its sub-folders, in sorted order; hidden names are left out. If
      every video lies in a sub-folder, the label is the index of the top-level sub-folder. Where there is no
      video file, folders of numbered images are taken. A folder that `write_shards` wrote gives the records
      that it was written from.
    - A list, whatever its extension, has one video a line, or a header with a `path` column (`read_list`).
      Whether the listed files exist is not checked here: the loader skips and names broken ones.
    - A file with the extension of a video is the only one.

    Source, root and paths may have a scheme, as `s3://bucket/videos`; http has no folders.

    Args:
        source: the folder or file.
        root: what relative paths in a list are relative to; None for the folder of the list.
        split: keep the records of this split only; None for all.

    Returns:
        A `Catalog`; its `summary()` says in a line how the source was read.

    Raises:
        FileNotFoundError: if the source does not exist.
        RemoteError: if the source has a scheme and its storage does not answer.
        UserError: if it holds no video, cannot be understood, or has no such split.

    Example:
        >>> import pathlib, tempfile
        >>> from bod_keras.data import read_source
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     listing = pathlib.Path(folder, "list.csv")
        ...     _ = listing.write_text("path,label,num_frames\\na.mp4,run,31\\nb.mp4,jump,42\\n")
        ...     read_source(listing).summary()
        '2 videos, 2 labels, 2 classes; column num_frames ignored'
    """
    source = os.fspath(source)
    away, shown = remote.is_remote(source), without_secrets(source)
    if not (remote.exists if away else os.path.exists)(source):
        raise FileNotFoundError(
            f"There is no folder or list file {shown!r}. Give a folder of videos, a list file "
            "with one 'path label' a line, or a .csv file with a 'path' column."
            + (" Access that is refused looks the same: check the credentials." if away else "")
        )
    if source.lower().endswith((".npy", ".npz")):
        raise UserError(
            f"{shown} is a file of arrays; expected a folder or list of videos. Features (videos, time, "
            "channels) are read by configs/features.py with --config.data.channels; arrays of clips by "
            "bod_keras.data.array_records."
        )
    if not (remote.is_folder if away else os.path.isdir)(source):
        if source.lower().endswith(VIDEO_EXTENSIONS):
            if split is not None:
                raise no_such_split(source, split, [])
            return Catalog([Record(source)])
        place = source if away else os.path.abspath(source)
        base = os.path.dirname(place) if root is None else os.fspath(root)
        return read_list(source, base, split)
    if not is_shard_folder(source):
        catalog = read_folder(source)
        if split is not None:
            raise no_such_split(source, split, [])
        return catalog
    manifest, records = read_manifest(source), shard_records(source)
    if split is not None:
        names = sorted({record.split for record in records if record.split is not None})
        records = [record for record in records if record.split == split]
        if not records:
            raise no_such_split(source, split, names)
    return Catalog(records, manifest["class_names"], manifest["flip_safe"])


def read_catalog(
    source: str | os.PathLike, root: str | os.PathLike | None = None, split: str | None = None
) -> list[Record]:
    """Read the records of `read_source`, and warn of what it did not take as it stands.

    Args:
        source, root, split: as of `read_source`.

    Returns:
        List of `Record`.

    Raises:
        FileNotFoundError, RemoteError, UserError: as `read_source`.

    Example:
        >>> import pathlib, tempfile
        >>> from bod_keras.data import read_catalog
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     listing = pathlib.Path(folder, "list.txt")
        ...     _ = listing.write_text("a b.mp4 3")
        ...     read_catalog(listing, root="videos")[0].label
        3
    """
    catalog = read_source(source, root, split)
    if catalog.remarks:
        warnings.warn(f"{without_secrets(os.fspath(source))}: {catalog.summary()}", stacklevel=2)
    return catalog.records


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
    return read_source(folder).class_names
