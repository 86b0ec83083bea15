"""Lists of videos to leave out, one `path<TAB>reason` a line."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Mapping

from bod_keras.data.datasets.base import Catalog
from bod_keras.errors import UserError
from bod_keras.storage.atomic_file import atomic_file


def read_blocklist(path: str | os.PathLike, root: str | os.PathLike) -> dict[str, str]:
    """Read a list of videos to leave out.

    Args:
        path: the list; a line is a path and, after a tab, a reason.
        root: what relative paths are relative to.

    Returns:
        Absolute path -> reason.

    Raises:
        FileNotFoundError: if there is no such list.

    Example:

    >>> from bod_keras.data import read_blocklist, write_blocklist
    >>> import pathlib, tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = pathlib.Path(folder, "bad.tsv")
    ...     write_blocklist(path, {"/data/a [1].avi": "truncated"}, root="/data")
    ...     path.read_text(), read_blocklist(path, root="/data")
    ('a [1].avi\\ttruncated\\n', {'/data/a [1].avi': 'truncated'})
    """
    blocked = {}
    with open(path, encoding="utf-8", errors="surrogateescape") as stream:
        for line in stream:
            name, _, reason = line.rstrip("\r\n").partition("\t")
            if name:
                blocked[os.path.abspath(os.path.join(root, name))] = reason or "in the blocklist"
    return blocked


def write_blocklist(
    path: str | os.PathLike, reasons: Mapping[str, str], root: str | os.PathLike
) -> None:
    """Write a list of videos to leave out, whole or not at all.

    Args:
        path: the list.
        reasons: path -> reason. Paths below `root` are written relative to it.
        root: folder of the videos.

    Raises:
        ValueError: if a path holds a tab or a line break, which the list cannot.
        OSError: if the list cannot be written.

    Example:

    >>> from bod_keras.data import write_blocklist
    >>> write_blocklist("broken.tsv", {"UCF-101/Archery/a.avi": "truncated"}, root="UCF-101")
    """
    lines = []
    for name, reason in reasons.items():
        if set(name) & set("\t\r\n"):
            raise UserError(
                f"A blocklist holds no path with a tab or line break: {name!r}. Rename it."
            )
        inside = os.path.relpath(name, root)
        inside = os.path.abspath(name) if inside.startswith(os.pardir) else inside
        lines.append(f"{inside}\t{' '.join(reason.split())}\n")
    with (
        atomic_file(path) as part,
        open(part, "w", encoding="utf-8", errors="surrogateescape") as stream,
    ):
        stream.writelines(lines)


def without_blocked(catalog: Catalog, blocked: Mapping[str, str]) -> Catalog:
    """Leave videos out of a catalogue.

    Args:
        catalog: the catalogue.
        blocked: absolute path -> reason, from `read_blocklist`.

    Returns:
        A catalogue without them; those that it had are in its `blocked`.

    Raises:
        ValueError: if nothing is left.

    Example:

    >>> from bod_keras.data import Catalog, without_blocked
    >>> from bod_keras.data import Record
    >>> catalog = Catalog([Record("/data/a.avi"), Record("/data/b.avi")])
    >>> without_blocked(catalog, {"/data/a.avi": "truncated"}).records
    [Record(path='/data/b.avi', label=None, factors={}, split=None, labels=(), span=None, boxes=())]
    """
    kept, left_out = [], {}
    for record in catalog.records:
        reason = blocked.get(os.path.abspath(record.path))
        if reason is None:
            kept.append(record)
        else:
            left_out[record.path] = reason
    if not kept:
        raise UserError(f"The blocklist leaves none of the {len(left_out)} videos.")
    return dataclasses.replace(catalog, records=kept, blocked={**catalog.blocked, **left_out})
