"""Data sets by name."""

from __future__ import annotations

import functools
import os
from collections.abc import Callable, Sequence

from bod_keras.data.datasets.folders import VideoFiles
from bod_keras.data.record import Catalog
from bod_keras.errors import UserError
from bod_keras.registry import Registry

DATASETS = Registry("dataset", "bod_keras.data.datasets.named")


class DataSet:
    """How a data set is read from its own annotation files.

    Args:
        read: from `(files, annotations, splits, fold)` to a `Catalog`: `files` is a `VideoFiles`, `annotations`
            a folder, `splits` the names of those that are wanted, `fold` a number from 1.
        splits: the names of all splits.
        evaluation: the labeled split that results are reported on.
        folds: number of official divisions into splits.
        ignore_case: find files without regard to case where no exact match exists.

    Example:
        >>> from bod_keras.data import Catalog, DataSet, Record
        >>> def read_mine(files, annotations, splits, fold):
        ...     return files.catalog([Record("a.mp4", label=0)], ["run"])
        >>> DataSet(read_mine, splits=("train", "test"), evaluation="test").folds
        1
    """

    def __init__(
        self,
        read: Callable[[VideoFiles, str, tuple[str, ...], int], Catalog],
        splits: Sequence[str],
        evaluation: str,
        folds: int = 1,
        ignore_case: bool = False,
    ):
        self.read = read
        self.splits = tuple(splits)
        self.evaluation = evaluation
        self.folds = folds
        self.ignore_case = ignore_case
        function = read.func if isinstance(read, functools.partial) else read
        self.__qualname__ = function.__qualname__  # by which a registry tells two of one name apart


def read_dataset(
    name: str,
    root: str | os.PathLike,
    annotations: str | os.PathLike | None = None,
    split: str | None = None,
    fold: int = 1,
) -> Catalog:
    """Read a data set from its videos and its official annotation files, as they are distributed.

    Args:
        name: a key of `DATASETS`, or the address `module:NAME` of a `DataSet` of your own.
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
        UserError: if there is no such data set, split or fold, an annotation cannot be understood,
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


def find_dataset(name: str) -> DataSet:
    """Give the entry of a data set: its `splits`, the `evaluation` split among them, its `folds`.

    Args:
        name: a key of `DATASETS`, or the address `module:NAME` of a `DataSet` of your own.

    Returns:
        The entry.

    Raises:
        UserError: if there is no such data set; names the nearest one.

    Example:
        >>> from bod_keras.data import find_dataset
        >>> find_dataset("kinetics400").evaluation
        'val'
    """
    dataset = DATASETS[name]
    if not isinstance(dataset, DataSet):
        raise UserError(
            f"{name} must be a bod_keras.data.DataSet. Received: {type(dataset).__name__}. Wrap the function "
            "that reads it: DataSet(read, splits=('train', 'test'), evaluation='test')."
        )
    return dataset
