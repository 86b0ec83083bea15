"""The file of embedded videos: Parquet, a row a video or window."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from bod_keras.errors import UserError

PARTS = ("pooled", "static", "dynamic")
_INFO = b"bod_keras"  # key of the schema's metadata
_ROWS_AT_ONCE = 16384


class Library:
    """The rows of a library: which videos, and their vectors, each read when it is first asked for.

    Args:
        path: the file, as `embed` writes it.

    Attributes:
        path: as given.
        info: provenance: run, hash of the model, clips, version, what was skipped.
        paths: path of each row's video; names that are not UTF-8 are as Python has them (surrogates).
        starts, ends: seconds, float64 (N,).
        labels: text of each row, or None.
        keys: "VIDEO-STATE" of each row: which video, and its size and time of change, as hashes.
        widths: width K of each part that is there.
    """

    def __init__(self, path: str | os.PathLike):
        self.path = Path(path)
        with _opened(self.path) as file:
            self.info = _info_of(file, self.path)
            names = [name for name in file.schema_arrow.names if name not in PARTS]
            table = file.read(columns=names)
            self.widths = {
                name: file.schema_arrow.field(name).type.list_size
                for name in PARTS
                if name in file.schema_arrow.names
            }
        columns = {name: table.column(name).to_pylist() for name in ("path", "label", "key")}
        exact = table.column("path_bytes").to_pylist() if "path_bytes" in names else []
        self.paths = [
            os.fsdecode(raw) if raw else text
            for text, raw in zip(columns["path"], exact or [None] * table.num_rows)
        ]
        self.labels, self.keys = columns["label"], columns["key"]
        self.starts = table.column("start").to_numpy()
        self.ends = table.column("end").to_numpy()
        self._units: dict[str, np.ndarray] = {}

    def __len__(self) -> int:
        return len(self.paths)

    def vectors(self, part: str) -> np.ndarray:
        """Return one part of every row as it was embedded, float32 (N, K)."""
        if part not in self.widths:
            raise UserError(
                f"{self.path} has no part {part!r}, only {', '.join(self.widths)}. Search by these."
            )
        with _opened(self.path) as file:
            if file.metadata.num_rows != len(self) or _info_of(file, self.path) != self.info:
                raise UserError(f"{self.path} has changed since it was opened. Open it again.")
            found = np.empty((len(self), self.widths[part]), np.float32)
            done = 0
            for batch in file.iter_batches(_ROWS_AT_ONCE, columns=[part]):
                values = batch.column(0).flatten().to_numpy(zero_copy_only=True)
                found[done : done + batch.num_rows] = values.reshape(batch.num_rows, -1)
                done += batch.num_rows
        return found

    def unit_vectors(self, part: str) -> np.ndarray:
        """Return one part of every row, of length 1 each (a zero row stays), float32 (N, K); kept in memory."""
        if part not in self._units:
            rows = self.vectors(part)
            length = np.sqrt(np.einsum("nk,nk->n", rows, rows))
            rows /= np.where(length > 0, length, 1.0)[:, None]
            self._units[part] = rows
        return self._units[part]


def read_library(path: str | os.PathLike) -> Library:
    """Open a library that `embed` wrote.

    Args:
        path: its file, with or without ``.parquet``.

    Returns:
        The `Library`.

    Raises:
        FileNotFoundError: there is no such file.
        ImportError: pyarrow is not installed.
        UserError: the file is damaged, or no library.
    """
    file = library_path(path)
    if not file.is_file():
        raise FileNotFoundError(
            f"There is no library {os.fspath(path)!r}. Write one: bod-keras embed RUN VIDEOS --output=library"
        )
    return Library(file)


def library_path(path: str | os.PathLike) -> Path:
    """Return the Parquet file that a library's name means; that of a copy (.npz, .csv) is beside it."""
    path = Path(path)
    if path.suffix == ".parquet":
        return path
    if path.suffix in (".npz", ".csv"):
        return path.with_suffix(".parquet")
    return path.with_name(f"{path.name}.parquet")


def read_info(path: Path) -> dict[str, Any]:
    """Return the provenance of a library's file, or of one of its parts."""
    with _opened(path) as file:
        return _info_of(file, path)


def read_keys(path: Path) -> set[str]:
    """Return the keys of the videos in a library's file, or in one of its parts."""
    return set(_keys(path))


def write_rows(path: Path, rows: Mapping[str, Sequence], info: Mapping[str, Any]) -> None:
    """Write rows to a file.

    Args:
        path: the file; it is not written atomically.
        rows: from "path", "start", "end", "label", "key" and the parts to their values.
        info: provenance.
    """
    parquet = need_parquet()
    parts = {name: np.asarray(rows[name], np.float32) for name in PARTS if name in rows}
    table = _table(rows, parts).replace_schema_metadata({_INFO: json.dumps(info)})
    parquet.write_table(table, path, **_options())


def merge(path: Path, files: Sequence[Path], info: Mapping[str, Any]) -> int:
    """Write the rows of several files to one, in their order; a video of a later file replaces its older rows.

    Args:
        path: the file to write; it is not written atomically.
        files: what `write_rows` or `merge` wrote.
        info: provenance.

    Returns:
        The number of rows.
    """
    import pyarrow
    import pyarrow.compute

    parquet = need_parquet()
    schemas = []
    for file in files:
        with _opened(file) as opened:
            schemas.append(opened.schema_arrow)
    schema = schemas[0].with_metadata({_INFO: json.dumps(info)})
    newest: dict[str, str] = {}
    for file in files:
        newest |= dict(key.split("-") for key in _keys(file))
    count = 0
    with parquet.ParquetWriter(path, schema, **_options()) as writer:
        for file in files:
            keys = (key.split("-") for key in _keys(file))
            kept = np.array([newest[video] == state for video, state in keys], bool)
            done = 0
            with _opened(file) as opened:
                for batch in opened.iter_batches(_ROWS_AT_ONCE):
                    wanted = kept[done : done + batch.num_rows]
                    done += batch.num_rows
                    if wanted.any():
                        table = pyarrow.Table.from_batches([batch]).filter(pyarrow.array(wanted))
                        writer.write_table(table.cast(schema))
                        count += int(wanted.sum())
    return count


def write_copy(library: Library, path: Path) -> None:
    """Write a library as NumPy arrays (.npz) or as a table (.csv), not atomically.

    Args:
        library: the library.
        path: its ending chooses.
    """
    texts = {
        "path": [text.encode(errors="backslashreplace").decode() for text in library.paths],
        "label": [label or "" for label in library.labels],
    }
    if path.suffix == ".npz":
        arrays = {name: np.array(values, dtype=str) for name, values in texts.items()}
        vectors = {part: library.vectors(part) for part in library.widths}
        spans = {"start": library.starts, "end": library.ends}
        with open(path, "wb") as file:
            np.savez(
                file, **arrays, **spans, **vectors, provenance=np.array(json.dumps(library.info))
            )
        return
    import csv

    with open(path, "w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        columns = [f"{part}_{i}" for part, width in library.widths.items() for i in range(width)]
        writer.writerow(["path", "start", "end", "label", *columns])
        with _opened(library.path) as opened:
            row = 0
            for batch in opened.iter_batches(_ROWS_AT_ONCE, columns=list(library.widths)):
                values = [
                    column.flatten().to_numpy().reshape(batch.num_rows, -1)
                    for column in batch.columns
                ]
                for line in np.concatenate(values, axis=1):
                    span = (f"{library.starts[row]:g}", f"{library.ends[row]:g}")
                    writer.writerow(
                        [texts["path"][row], *span, texts["label"][row], *line.tolist()]
                    )
                    row += 1


def _table(rows, parts):
    import pyarrow as pa

    paths, raw = [], []
    for path in rows["path"]:
        try:
            path.encode()
            raw.append(None)
        except UnicodeEncodeError:  # a name of bytes that are no UTF-8, which Arrow's text must be
            raw.append(os.fsencode(path))
            path = path.encode(errors="backslashreplace").decode()
        paths.append(path)
    columns = {
        "path": pa.array(paths, pa.string()),
        "path_bytes": pa.array(raw, pa.binary()),
        "start": pa.array(rows["start"], pa.float64()),
        "end": pa.array(rows["end"], pa.float64()),
        "label": pa.array(rows["label"], pa.string()),
        "key": pa.array(rows["key"], pa.string()),
    }
    for name, values in parts.items():
        flat = pa.array(values.reshape(-1), pa.float32())
        columns[name] = pa.FixedSizeListArray.from_arrays(flat, values.shape[1])
    return pa.table(columns)


def _options():
    # Vectors do not compress; text does.
    return {
        "compression": "none",
        "use_dictionary": ["path", "label", "key"],
        "write_statistics": False,
    }


def _keys(path: Path) -> list[str]:
    with _opened(path) as file:
        return file.read(columns=["key"]).column("key").to_pylist()


@contextlib.contextmanager
def _opened(path: Path) -> Iterator[Any]:
    parquet = need_parquet()
    import pyarrow

    try:
        with parquet.ParquetFile(path) as file:
            yield file
    except pyarrow.ArrowException as error:
        reason = str(error).splitlines()[0]
        raise UserError(
            f"{path} is damaged, or no library: {reason}. Embed the videos again."
        ) from None


def _info_of(file, path):
    found = (file.schema_arrow.metadata or {}).get(_INFO)
    try:
        info = json.loads(found or "")
    except ValueError:
        info = None
    if not isinstance(info, dict) or not {"path", "start", "end", "label", "key"} <= set(
        file.schema_arrow.names
    ):
        raise UserError(f"{path} is a Parquet file, but no library of bod-keras embed.")
    return info


def need_parquet() -> Any:
    """Return pyarrow's module for Parquet.

    Raises:
        ImportError: pyarrow is not installed; the message says what to install.
    """
    try:
        import pyarrow.parquet as parquet
    except ImportError as error:
        raise ImportError(
            "A library of embedded videos is a Parquet file and needs pyarrow: pip install 'bod-keras[embed]'"
        ) from error
    return parquet
