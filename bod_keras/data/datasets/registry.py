"""Data sets by name."""

from __future__ import annotations

import difflib
import os
from collections.abc import Callable, Mapping
from functools import partial
from types import MappingProxyType
from typing import NamedTuple

from bod_keras.data.datasets.ava import read_ava
from bod_keras.data.datasets.base import Catalog
from bod_keras.data.datasets.boxes import read_boxes
from bod_keras.data.datasets.diving48 import read_diving48
from bod_keras.data.datasets.files import VideoFiles
from bod_keras.data.datasets.finegym import read_finegym
from bod_keras.data.datasets.hmdb51 import read_hmdb51
from bod_keras.data.datasets.kinetics import read_kinetics
from bod_keras.data.datasets.ssv2 import read_ssv2
from bod_keras.data.datasets.ucf101 import read_ucf101
from bod_keras.data.datasets.ucf101_24 import read_ucf101_24
from bod_keras.errors import UserError


class _DataSet(NamedTuple):
    read: Callable[..., Catalog]
    splits: tuple[str, ...]
    evaluation: str  # the labelled split that results are reported on
    folds: int = 1
    ignore_case: bool = False


_KINETICS = _DataSet(read_kinetics, ("train", "val", "test"), "val")
_AVA = {
    f"ava{version}{suffix}": _DataSet(
        partial(read_ava, version=version, start=start), ("train", "val", "test"), "val"
    )
    for version in ("2.1", "2.2")
    for suffix, start in (("", 0.0), ("-15min", 900.0))
}
DATASETS: Mapping[str, _DataSet] = MappingProxyType(
    {
        "ucf101": _DataSet(read_ucf101, ("train", "test"), "test", folds=3, ignore_case=True),
        "hmdb51": _DataSet(read_hmdb51, ("train", "test", "unused"), "test", folds=3),
        "kinetics400": _KINETICS,
        "kinetics600": _KINETICS,
        "kinetics700": _KINETICS,
        "ssv2": _DataSet(read_ssv2, ("train", "val", "test"), "val"),
        "diving48": _DataSet(read_diving48, ("train", "test"), "test"),
        "gym99": _DataSet(partial(read_finegym, name="gym99"), ("train", "val"), "val"),
        "gym288": _DataSet(partial(read_finegym, name="gym288"), ("train", "val"), "val"),
        **_AVA,
        "ucf101-24": _DataSet(read_ucf101_24, ("train", "test"), "test", ignore_case=True),
        "boxes": _DataSet(read_boxes, ("train", "test"), "test"),
    }
)


def read_dataset(
    name: str,
    root: str | os.PathLike,
    annotations: str | os.PathLike | None = None,
    split: str | None = None,
    fold: int = 1,
) -> Catalog:
    """Read a data set from its videos and its official annotation files, as they are distributed.

    Args:
        name: a key of `DATASETS`.
        root: folder of the videos, in any sub-folders, with any video extension, or as folders of
            frames.
        annotations: folder of the annotation files; None for `root`.
        split: name of a split; None for the training and the evaluation split.
        fold: number of the official division into splits, from 1.

    Returns:
        A `Catalog`: the records that have a file, the names of those that have none, class names
        in the order of the labels.

    Raises:
        FileNotFoundError: if a folder or an annotation file is missing.
        ValueError: if there is no such data set, split or fold, an annotation cannot be understood,
            or not one video is there.

    Example:

    >>> from bod_keras.data import read_dataset
    >>> read_dataset("ucf101", "UCF-101", "ucfTrainTestlist", split="train")  # doctest: +SKIP
    """
    dataset = find_dataset(name)
    if split is not None and split not in dataset.splits:
        raise UserError(f"{name} has the splits {', '.join(dataset.splits)}. Received: {split!r}")
    if not 1 <= fold <= dataset.folds:
        raise UserError(f"{name} has the folds 1 to {dataset.folds}. Received: {fold}")
    files = VideoFiles(root, ignore_case=dataset.ignore_case)
    folder = files.root if annotations is None else os.fspath(annotations)
    splits = ("train", dataset.evaluation) if split is None else (split,)
    catalog = dataset.read(files, folder, splits, fold)
    if not catalog.records:
        example = f", such as {catalog.missing[0]!r}" if catalog.missing else ""
        raise UserError(
            f"{files.root} holds none of the {len(catalog.missing)} videos that the annotations of "
            f"{name} name{example}. Is it the folder of the videos?"
        )
    return catalog


def find_dataset(name: str) -> _DataSet:
    """Give the entry of a data set: its `splits`, the `evaluation` split among them, its `folds`.

    Args:
        name: a key of `DATASETS`.

    Returns:
        The entry.

    Raises:
        ValueError: if there is no such data set; names the nearest one.

    Example:

    >>> from bod_keras.data import find_dataset
    >>> find_dataset("kinetics400").evaluation
    'val'
    """
    if name not in DATASETS:
        near = difflib.get_close_matches(name, DATASETS, n=1)
        hint = f" Did you mean {near[0]}?" if near else ""
        raise UserError(f"dataset must be one of {', '.join(DATASETS)}. Received: {name!r}.{hint}")
    return DATASETS[name]
