"""HMDB51: a list <class>_test_split<k>.txt for each class and fold."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator

from bod_keras.data.datasets.folders import VideoFiles
from bod_keras.data.datasets.named._annotations import annotation_file
from bod_keras.data.datasets.registry import DATASETS, DataSet
from bod_keras.data.datasets.text import lines_of
from bod_keras.data.record import Catalog, Record
from bod_keras.errors import UserError

_SPLITS = {"0": "unused", "1": "train", "2": "test"}


def read_hmdb51(files: VideoFiles, annotations: str, splits: tuple[str, ...], fold: int) -> Catalog:
    """Read the official lists of HMDB51.

    There is no list of classes: labels number the sorted class names, which the names of the lists
    begin with. A fold leaves a part of the videos out, which is the split "unused".

    Args:
        files: the videos, in folders of classes.
        annotations: folder of the lists.
        splits: of "train", "test" and "unused".
        fold: 1, 2 or 3.

    Returns:
        A `Catalog`.

    Raises:
        FileNotFoundError: if there is no list.
        UserError: if a line cannot be understood.
    """
    first = annotation_file(
        annotations,
        rf"brush_hair_test_split{fold}\.txt",
        f"HMDB51's brush_hair_test_split{fold}.txt",
    )
    folder = os.path.dirname(first)
    lists = [re.fullmatch(r"(.+)_test_split([123])\.txt", name) for name in os.listdir(folder)]
    class_names = sorted(match[1] for match in lists if match and match[2] == str(fold))
    absent = sorted({match[1] for match in lists if match} - set(class_names))
    if absent:
        raise FileNotFoundError(
            f"{folder} holds no {absent[0]}_test_split{fold}.txt, but a list of this class for another fold: "
            "the labels of all later classes would move. Copy the lists again."
        )
    return files.catalog(_listed(folder, splits, fold, class_names), class_names)


def _listed(
    folder: str, splits: tuple[str, ...], fold: int, class_names: list[str]
) -> Iterator[Record]:
    for label, name in enumerate(class_names):
        source = os.path.join(folder, f"{name}_test_split{fold}.txt")
        for line, text in lines_of(source):
            path, _, tag = text.rpartition(" ")
            if not path or tag not in _SPLITS:
                raise UserError(
                    f"{source}, line {line}: expected 'FILE 0', 1 or 2. Received: {text!r}"
                )
            if _SPLITS[tag] in splits:
                yield Record(f"{name}/{path.strip()}", label=label, split=_SPLITS[tag])


DATASETS.register("hmdb51")(
    DataSet(read_hmdb51, ("train", "test", "unused"), evaluation="test", folds=3)
)
