"""Text files of lists and annotations: their encoding, and cells by CSV rules."""

from __future__ import annotations

import codecs
import csv
import io
import os
import sys
from collections.abc import Iterable, Iterator

from bod_keras.errors import UserError
from bod_keras.storage import remote
from bod_keras.storage.regular_file import regular_file
from bod_keras.storage.remote_error import without_secrets

_MARKS = (  # UTF-32 first: its mark begins with that of UTF-16
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)


def read_text(path: str | os.PathLike) -> str:
    """Read a text file in UTF-8, or in the encoding that its byte order mark names.

    Bytes that are not UTF-8 are kept, as `os.fsdecode` keeps them in names of files.

    Args:
        path: the file, which may be remote.

    Returns:
        The text, without the mark; line ends are as they are in the file.

    Raises:
        UserError: if it is no text.

    Example:
        >>> import pathlib, tempfile
        >>> from bod_keras.data.datasets.text import read_text
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     path = pathlib.Path(folder, "list.txt")
        ...     _ = path.write_text("käse.avi 1", encoding="utf-16")
        ...     read_text(path)
        'käse.avi 1'
    """
    path = os.fspath(path)
    if remote.is_remote(path):
        data = remote.read_bytes(path)
    else:
        with open(regular_file(path, pipes=True), "rb") as stream:
            data = stream.read()
    for mark, encoding in _MARKS:
        if data.startswith(mark):
            try:
                text = data[len(mark) :].decode(encoding)
            except UnicodeDecodeError as error:
                raise UserError(
                    f"{without_secrets(path)} begins as {encoding} and is damaged: {error}"
                ) from None
            break
    else:
        text = data.decode("utf-8", "surrogateescape")
    if "\0" in text:
        line = text.count("\n", 0, text.index("\0")) + 1
        raise UserError(
            f"{without_secrets(path)}, line {line}: expected text, found a zero byte. Save the file as UTF-8."
        )
    return text


def lines_of(path: str | os.PathLike) -> Iterator[tuple[int, str]]:
    """Give number and text of the lines that hold something, without line ends and outer spaces."""
    for number, line in enumerate(split_lines(read_text(path)), start=1):
        if line.strip():
            yield number, line.strip()


def split_lines(text: str) -> list[str]:
    """Split a text at its line ends, which stay; a name may hold other separators of lines."""
    return list(io.StringIO(text, newline=""))


def csv_rows(
    path: str, lines: Iterable[str], first: int = 1, **dialect
) -> list[tuple[int, list[str]]]:
    """Split lines into cells by CSV rules.

    Args:
        path: of the file, for messages.
        lines: with their line ends; a quoted cell may hold several.
        first: number of the first line.
        **dialect: `delimiter` and other keywords of `csv.reader`.

    Returns:
        For each row the number of its first line, and its cells.

    Raises:
        UserError: a quoted cell does not end, or something other than a comma follows it.
    """
    rows, before = [], 0
    usual = csv.field_size_limit(min(sys.maxsize, 2**31 - 1))
    try:
        reader = csv.reader(lines, **{"skipinitialspace": True, "strict": True, **dialect})
        for cells in reader:
            rows.append((first + before, cells))
            before = reader.line_num
    except csv.Error as error:
        raise UserError(
            f"{path}, line {first + before}: {error}. A cell in double quotes must end with one, before the "
            "next separator; a list that breaks off must be copied again."
        ) from None
    finally:
        csv.field_size_limit(usual)
    return rows


def to_integer(text: str) -> int | None:
    """Give the integer that a cell holds, also one that was written as 3.0; None if it holds none.

    Example:
        >>> from bod_keras.data.datasets.text import to_integer
        >>> to_integer("3"), to_integer("3.0"), to_integer("³")
        (3, 3, None)
    """
    whole = text.removesuffix(".0")
    digits = whole.removeprefix("-")
    if not (digits.isascii() and digits.isdigit() and len(digits) <= 18):
        return None
    return int(whole)
