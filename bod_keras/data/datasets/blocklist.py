"""Lists of videos to leave out, one `path<TAB>reason` a line."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Mapping

from bod_keras.data.datasets.text import csv_rows, read_text, split_lines
from bod_keras.data.record import Catalog
from bod_keras.errors import UserError
from bod_keras.storage.atomic_file import atomic_file


def read_blocklist(path: str | os.PathLike, root: str | os.PathLike) -> dict[str, str]:
    """Read a list of videos to leave out.

    Args:
        path: the list; a line is a path and, after a tab, a reason. A path in double quotes may hold tabs and
            line breaks.
        root: what relative paths are relative to.

    Returns:
        Absolute path -> reason.

    Raises:
        FileNotFoundError: if there is no such list.
        UserError: if a quoted path does not end.

    Example:
        >>> import pathlib, tempfile
        >>> from bod_keras.data import read_blocklist, write_blocklist
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     path = pathlib.Path(folder, "bad.tsv")
        ...     write_blocklist(path, {"/data/a [1].avi": "truncated"}, root="/data")
        ...     path.read_text(), read_blocklist(path, root="/data")
        ('a [1].avi\\ttruncated\\n', {'/data/a [1].avi': 'truncated'})
    """
    blocked = {}
    lines = split_lines(read_text(path))
    for _, cells in csv_rows(os.fspath(path), lines, delimiter="\t", skipinitialspace=False):
        if cells and cells[0]:
            reason = " ".join(cells[1:]) or "in the blocklist"
            blocked[os.path.abspath(os.path.join(root, cells[0]))] = reason
    return blocked


def write_blocklist(
    path: str | os.PathLike, reasons: Mapping[str, str], root: str | os.PathLike
) -> None:
    """Write a list of videos to leave out, whole or not at all.

    Args:
        path: the list.
        reasons: path -> reason. Paths below `root` are written relative to it; one that holds a tab, a quote or
            a line break is put in double quotes.
        root: folder of the videos.

    Raises:
        OSError: if the list cannot be written.

    Example:
        >>> import pathlib, tempfile
        >>> from bod_keras.data import write_blocklist
        >>> path = pathlib.Path(tempfile.mkdtemp(), "broken.tsv")
        >>> write_blocklist(path, {"UCF-101/Archery/a.avi": "truncated"}, root="UCF-101")
    """
    lines = []
    for name, reason in reasons.items():
        inside = os.path.relpath(name, root)
        inside = os.path.abspath(name) if inside.startswith(os.pardir) else inside
        if set(inside) & set('\t\r\n"'):
            inside = '"' + inside.replace('"', '""') + '"'
        lines.append(f"{inside}\t{' '.join(reason.split())}\n")
    with (
        atomic_file(path) as part,
        open(part, "w", encoding="utf-8", errors="surrogateescape", newline="") as stream,
    ):
        stream.writelines(lines)


def without_blocked(catalog: Catalog, blocked: Mapping[str, str]) -> Catalog:
    """Leave videos out of a catalog.

    Args:
        catalog: the catalog.
        blocked: absolute path -> reason, from `read_blocklist`.

    Returns:
        A catalog without them; those that it had are in its `blocked`.

    Raises:
        UserError: if nothing is left.

    Example:
        >>> from bod_keras.data import Catalog, Record, without_blocked
        >>> catalog = Catalog([Record("/data/a.avi"), Record("/data/b.avi")])
        >>> [r.path for r in without_blocked(catalog, {"/data/a.avi": "truncated"}).records]
        ['/data/b.avi']
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
