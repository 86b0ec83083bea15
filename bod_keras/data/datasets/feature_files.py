"""Files of frame features, .npy and .npz -> a `Catalog`."""

from __future__ import annotations

import dataclasses
import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from bod_keras.data.datasets.lists import no_such_split, read_list
from bod_keras.data.record import Catalog, Record, some
from bod_keras.errors import UserError
from bod_keras.storage.regular_file import regular_file

_ENDINGS = (".npy", ".npz")
_MOST_CLASSES = 1_000_000  # a larger number is a mistake


@dataclass(frozen=True, slots=True)
class FeatureRecord(Record):
    """A `Record` of a video's features, made by `read_features`.

    Args:
        file: the file, .npy or .npz.
        row: of an array (N, T, C) which video; None of one (T, C), or of a file that cannot be read.
        steps: T; 0 of a file that cannot be read.
        channels: C.
    """

    file: str = ""
    row: int | None = None
    steps: int = 0
    channels: int = 0


def read_features(
    source: str | os.PathLike, root: str | None = None, split: str | None = None
) -> Catalog:
    """Read which videos files of frame features hold: of .npy from its header, of .npz from all of it.

    A file has an array of floats: (N, T, C), the features of N videos, or (T, C), those of one. An .npz file
    may hold several arrays: that of the features is "features", and "labels" (N,) are classes, integers from 0.
    Nothing is unpickled.

    Args:
        source: one file; a folder, searched with all below it, whose top-level sub-folders are the classes if
            every file lies in one; or a list of files as `read_list` takes it.
        root: what paths in a list are relative to; None for its folder.
        split: keep the rows of a list of this split only.

    Returns:
        A `Catalog` of `FeatureRecord`; paths are ``FILE#row``. A file that cannot be read is in it, and is
        skipped and named when it is read.

    Raises:
        FileNotFoundError: the source does not exist.
        UserError: it holds no such file, none that can be read, or has no such split.

    Example:
        >>> import numpy as np, pathlib, tempfile
        >>> from bod_keras.data import read_features
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     np.save(pathlib.Path(folder, "clips.npy"), np.zeros((3, 16, 8), "float32"))
        ...     read_features(folder).summary()
        '3 videos, no labels'
    """
    source = os.fspath(source)
    if not os.path.exists(source):
        raise FileNotFoundError(
            f"There is no {source!r}. Give an .npy or .npz file, a folder of them, or a list."
        )
    remarks: list[str] = []
    names: list[str] = []
    if os.path.isdir(source):
        files = sorted(
            str(path)
            for path in Path(source).rglob("*")
            if path.suffix.lower() in _ENDINGS and not path.name.startswith(".")
        )
        if not files:
            raise UserError(f"There is no .npy or .npz file in the folder {source!r} or below it.")
        parts = [Path(file).relative_to(source).parts for file in files]
        if all(len(part) > 1 for part in parts):
            names = sorted({part[0] for part in parts})
        records = [Record(f, names.index(p[0]) if names else None) for f, p in zip(files, parts)]
    elif source.lower().endswith(_ENDINGS):
        records = [Record(source)]
    else:
        listed = read_list(source, root or os.path.dirname(os.path.abspath(source)), split)
        records, names, remarks, split = listed.records, listed.class_names, listed.remarks, None
    if split is not None:
        raise no_such_split(source, split, [])
    found: list[FeatureRecord] = []
    broken: list[str] = []
    reason = ""
    for record in records:
        try:
            found += _rows(record)
        except Exception as error:  # of a damaged file, zipfile raises what it happens to meet
            base = {f.name: getattr(record, f.name) for f in dataclasses.fields(Record)}
            found.append(FeatureRecord(**base, file=record.path))
            broken.append(record.path)
            reason = reason or str(error)
    if len(broken) == len(records):
        raise UserError(
            f"No file of features in {source!r} can be read. The first, {broken[0]!r}: {reason}. "
            "Expected .npy or .npz files of floats (videos, time, channels) or (time, channels)."
        )
    if broken:
        remarks = [*remarks, f"{len(broken)} files cannot be read ({some(broken)})"]
    return Catalog(found, names, flip_safe=False, remarks=remarks)


def load_features(file: str) -> np.ndarray:
    """Return the array of a file: of .npy mapped, of .npz in memory.

    Raises:
        OSError, ValueError: it cannot be read, or is no array (N, T, C) or (T, C) of floats.
    """
    return _open(file)[0]


def _open(file: str) -> tuple[np.ndarray, np.ndarray | None]:
    path = regular_file(file)
    if path.suffix.lower() not in _ENDINGS:
        raise ValueError("it is no .npy or .npz file")
    labels = None
    # NumPy leaves a damaged .npz file open that it has opened itself.
    with open(path, "rb") as stream:
        packed = stream.read(2) == b"PK"
        if packed != (path.suffix.lower() == ".npz"):
            raise ValueError(f"its content is not that of an {path.suffix} file")
        stream.seek(0)
        if not packed:
            array = np.load(path, mmap_mode="r", allow_pickle=False)
        else:
            with np.load(stream, allow_pickle=False) as arrays:
                key = "features" if "features" in arrays else (arrays.files or [""])[0]
                if key != "features" and len(arrays.files) != 1:
                    raise ValueError(
                        f"it holds {', '.join(arrays.files) or 'nothing'}; name the array features"
                    )
                array = arrays[key]
                labels = arrays["labels"] if "labels" in arrays else None
    if not isinstance(array, np.ndarray):
        raise ValueError(f"{key} is not an array of NumPy")
    if array.ndim not in (2, 3) or 0 in array.shape or array.dtype.kind != "f":
        raise ValueError(
            f"it holds {array.dtype} {array.shape}, not floats (videos, time, channels) or (time, channels)"
        )
    if labels is not None:
        _check_labels(labels, array.shape)
    return array, labels


def _check_labels(labels: np.ndarray, shape: tuple[int, ...]) -> None:
    if not isinstance(labels, np.ndarray) or labels.dtype.kind not in "iu":
        kind = getattr(labels, "dtype", type(labels).__name__)
        raise ValueError(f"its labels are {kind}, not an integer a video")
    if labels.shape not in ([shape[:1]] if len(shape) == 3 else [(), (1,)]):
        raise ValueError(f"its labels are {labels.shape}, not an integer a video, for {shape}")
    if labels.min() < 0 or labels.max() > _MOST_CLASSES:
        raise ValueError(
            f"its labels go from {labels.min()} to {labels.max()}, and not from 0 to at most {_MOST_CLASSES}"
        )


def _rows(record: Record) -> list[FeatureRecord]:
    array, labels = _open(record.path)
    base = {field.name: getattr(record, field.name) for field in dataclasses.fields(Record)}
    steps, channels = array.shape[-2:]
    known = {"file": record.path, "steps": steps, "channels": channels}
    if array.ndim == 2:
        if labels is not None and record.label is None:
            base["label"] = labels.item()
        return [FeatureRecord(**base, **known)]
    found = []
    for row in range(len(array)):
        own = {**base, "path": f"{record.path}#{row}"}
        if labels is not None and record.label is None:
            own["label"] = int(labels[row])
        found.append(FeatureRecord(**own, **known, row=row))
    return found
