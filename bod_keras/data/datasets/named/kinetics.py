"""Kinetics-400, -600 and -700: train.csv, val.csv (or validate.csv) and test.csv."""

from __future__ import annotations

import re
from collections.abc import Iterator

from bod_keras.data.datasets.folders import VideoFiles
from bod_keras.data.datasets.named._annotations import annotation_file
from bod_keras.data.datasets.registry import DATASETS, DataSet
from bod_keras.data.datasets.text import csv_rows, read_text, split_lines
from bod_keras.data.record import Catalog, Record
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
        UserError: if a table cannot be understood.
    """
    spellings: dict[str, str] = {}
    for _, row in _rows(annotations, "train"):
        spellings.setdefault(_plain(row["label"]), row["label"])
    class_names = sorted(spellings.values())
    labels = {_plain(name): number for number, name in enumerate(class_names)}
    return files.catalog(
        (record for split in splits for record in _listed(annotations, split, labels)), class_names
    )


def _listed(annotations: str, split: str, labels: dict[str, int]) -> Iterator[Record]:
    for place, row in _rows(annotations, split):
        name = row.get("label")
        if name and _plain(name) not in labels:
            raise UserError(f"{place}: the {split} table has a class that train has not: {name!r}.")
        try:
            start, end = (int(float(row[key])) for key in ("time_start", "time_end"))
        except (ValueError, OverflowError):
            raise UserError(
                f"{place}: time_start and time_end must be seconds. Received: {row['time_start']!r} and "
                f"{row['time_end']!r}"
            ) from None
        yield Record(
            f"{row['youtube_id']}_{start:06d}_{end:06d}",
            label=labels[_plain(name)] if name else None,
            split=split,
        )


def _rows(annotations: str, split: str) -> Iterator[tuple[str, dict[str, str]]]:
    """Give file and line, and the cells by column, of each row of a table."""
    source = annotation_file(
        annotations, rf"(.*[-_])?({_FILES[split]})\.(csv|txt)", f"Kinetics' {split}.csv"
    )
    rows = csv_rows(source, split_lines(read_text(source)))
    columns = [cell.strip() for cell in rows[0][1]] if rows else []
    expected = {"youtube_id", "time_start", "time_end", *(["label"] if split == "train" else [])}
    if not expected <= set(columns):
        raise UserError(
            f"{source} must begin with a header that has {', '.join(sorted(expected))}. "
            f"Received: {columns}"
        )
    for line, cells in rows[1:]:
        if not cells:
            continue
        place = f"{source}, line {line}"
        if len(cells) != len(columns):
            missing = "a cell is missing" if len(cells) < len(columns) else "a cell is too many"
            raise UserError(f"{place}: {missing}. Expected {', '.join(columns)}. Received: {cells}")
        row = dict(zip(columns, cells))
        if split == "train" and not _plain(row["label"]):
            raise UserError(f"{place}: the class is missing. Received: {cells}")
        yield place, row


def _plain(name: str) -> str:
    """A class name without what its spellings differ in: case, quotes, underscores."""
    return re.sub(r"[^a-z0-9]+", " ", name.lower()).strip()


for _name in ("kinetics400", "kinetics600", "kinetics700"):
    DATASETS.register(_name)(DataSet(read_kinetics, ("train", "val", "test"), evaluation="val"))
