"""One list on its way to records, and a row of it."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass

from bod_keras.data.datasets.folders import VIDEO_EXTENSIONS
from bod_keras.data.datasets.text import to_integer
from bod_keras.errors import UserError
from bod_keras.storage import remote
from bod_keras.storage.remote_error import without_secrets

# From here on rows show what is rare and what is usual.
MANY = 8
# The end of a path in a line.
EXTENSION = re.compile(
    rf"(?:{'|'.join(map(re.escape, VIDEO_EXTENSIONS))})(?=[ \t,;]|$)", re.IGNORECASE
)
_QUERY = re.compile(r"(?<=://)([^\s?'\"]*)\?[^\s'\"]*")
_SEPARATORS = re.compile(r"([ \t,]+)")


@dataclass(slots=True)
class Row:
    """What a line says of a video; labels are texts as they stand there."""

    line: int
    path: str
    labels: tuple[str, ...] = ()
    split: str | None = None
    factors: dict[str, int] | None = None
    cells: Sequence[str] = ()  # of a table


class ListFile:
    """A list that is read: what must be said of it gathers in `remarks`.

    Args:
        source: the file.
        base: what relative paths are relative to.
    """

    def __init__(self, source: str, base: str):
        self.source, self.base = without_secrets(source), base
        self.remarks: list[str] = []
        self.names: dict[int, str] = {}  # of integer labels, from a second column
        self.numbering: set[int] = set()  # columns that a repeated row need not repeat
        self.comments = self.empty = self.slashes = 0

    def error(self, line: int, message: str) -> UserError:
        """Make an error that names file and line, and no query of a web address, which may be a signature."""
        message = _QUERY.sub(r"\1", message)
        return UserError(f"{self.source}, line {line}: {message}")

    def exists(self, path: str) -> bool:
        """Whether a path of the list is there; not known of remote ones."""
        return not remote.is_remote(self.base) and os.path.exists(os.path.join(self.base, path))

    def is_comment(self, line: str) -> bool:
        """Whether a line is a note: # and a space; or # and no video, neither by its name nor on the disk."""
        line = line.strip()
        if not line.startswith("#"):
            return False
        if len(line) > 1 and line[1] not in " \t#":
            return not (EXTENSION.search(line) or self.exists(part_folder(line)[0]))
        return True

    def remark_skipped(self) -> None:
        """Say how many empty rows and comments there were."""
        for count, what in ((self.empty, "empty row"), (self.comments, "comment")):
            if count:
                self.remarks.append(f"{count} {what}{'s' * (count > 1)} skipped")


def names_video(path: str) -> bool:
    """Whether a path has the extension of a video."""
    return path.lower().endswith(VIDEO_EXTENSIONS)


def part_folder(text: str) -> tuple[str, str]:
    """Part a line whose path has no video's extension: before its last integers, or its only comma."""
    parts = _SEPARATORS.split(text)
    end = len(parts)
    while end > 1 and (to_integer(parts[end - 1]) is not None or not parts[end - 1]):
        end -= 2
    if end < len(parts):
        return "".join(parts[:end]), "".join(parts[end:])
    for separator in ",\t":
        if text.count(separator) == 1:
            return text.split(separator)[0].rstrip(), text[text.index(separator) :]
    return text, ""
