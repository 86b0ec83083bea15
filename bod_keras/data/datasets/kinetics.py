"""Kinetics-400, -600 and -700: train.csv, val.csv (or validate.csv) and test.csv."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator

from bod_keras.data.datasets.base import Catalog, annotation_file
from bod_keras.data.datasets.files import VideoFiles
from bod_keras.data.record import Record
from bod_keras.errors import UserError

_FILES = {"train": "train", "val": "val|validate|validation", "test": "test"}


def read_kinetics(
    files: VideoFiles, annotations: str, splits: tuple[str, ...], fold: int
) -> Catalog:
    """Read the official tables of Kinetics.

    A file is named after the video and the seconds of the clip in it, `{id}_{start:06d}_{end:06d}`;
    the folder that it lies in plays no part, so spaces, underscores and quotes in folder names do
    no harm. Labels number the sorted class names of the training table, whatever the split. Some
    test tables have no labels.

    Args:
        files: the clips, in any folders.
        annotations: folder of the tables.
        splits: of "train", "val" and "test".
        fold: not used, there is one.

    Returns:
        A `Catalog`.

    Raises:
        FileNotFoundError: if a table is missing.
        ValueError: if a table cannot be understood.
    """
    class_names = sorted({row["label"] for row in _rows(annotations, "train")})
    labels = {_plain(name): number for number, name in enumerate(class_names)}
    return files.catalog(
        (record for split in splits for record in _listed(annotations, split, labels)), class_names
    )


def _listed(annotations: str, split: str, labels: dict[str, int]) -> Iterator[Record]:
    for row in _rows(annotations, split):
        name = row.get("label")
        if name and _plain(name) not in labels:
            raise UserError(f"The {split} table has a class that train has not: {name!r}.")
        start, end = int(float(row["time_start"])), int(float(row["time_end"]))
        yield Record(
            f"{row['youtube_id']}_{start:06d}_{end:06d}",
            label=labels[_plain(name)] if name else None,
            split=split,
        )


def _rows(annotations: str, split: str) -> Iterator[dict[str, str]]:
    source = annotation_file(
        annotations, rf"(.*[-_])?({_FILES[split]})\.(csv|txt)", f"Kinetics' {split}.csv"
    )
    with open(source, encoding="utf-8-sig", newline="") as stream:
        reader = csv.DictReader(stream)
        expected = {
            "youtube_id",
            "time_start",
            "time_end",
            *(["label"] if split == "train" else []),
        }
        if not expected <= set(reader.fieldnames or ()):
            raise UserError(
                f"{source} must begin with a header that has {', '.join(sorted(expected))}. "
                f"Received: {reader.fieldnames}"
            )
        for row in reader:
            if None in row.values():
                raise UserError(f"{source}, line {reader.line_num}: a cell is missing.")
            yield row


def _plain(name: str) -> str:
    """A class name without what its spellings differ in: case, quotes, underscores."""
    return re.sub(r"[^a-z0-9]+", " ", name.lower()).strip()
