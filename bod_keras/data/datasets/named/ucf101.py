"""UCF101: classInd.txt and the lists trainlist0X.txt, testlist0X.txt of ucfTrainTestlist."""

from __future__ import annotations

from collections.abc import Iterator

from bod_keras.data.datasets.folders import VideoFiles
from bod_keras.data.datasets.named._annotations import annotation_file
from bod_keras.data.datasets.registry import DATASETS, DataSet
from bod_keras.data.datasets.text import lines_of
from bod_keras.data.record import Catalog, Record
from bod_keras.errors import UserError


def read_ucf101(files: VideoFiles, annotations: str, splits: tuple[str, ...], fold: int) -> Catalog:
    """Read the official lists of UCF101.

    Labels are the numbers of classInd.txt less 1. The test lists have none, so each label is that of
    the folder, which is also how it is checked in the training lists. The folder HandstandPushups
    holds files named HandStandPushups; names are compared without regard to case.

    Args:
        files: the videos, in folders of classes.
        annotations: folder of the lists.
        splits: "train", "test" or both.
        fold: 1, 2 or 3.

    Returns:
        A `Catalog`.

    Raises:
        FileNotFoundError: if a list is missing.
        UserError: if a line cannot be understood.
    """
    source = annotation_file(annotations, r"classInd\.txt", "UCF101's classInd.txt")
    class_names: list[str] = []
    for line, text in lines_of(source):
        number, _, name = text.partition(" ")
        if number != str(len(class_names) + 1) or not name.strip() or name.strip() in class_names:
            raise UserError(
                f"{source}, line {line}: must number its classes 1, 2, 3, ... line by line, each with a name "
                f"of its own. Received: {text!r}"
            )
        class_names.append(name.strip())
    return files.catalog(_listed(annotations, splits, fold, class_names), class_names)


def _listed(
    annotations: str, splits: tuple[str, ...], fold: int, class_names: list[str]
) -> Iterator[Record]:
    labels = {name.casefold(): number for number, name in enumerate(class_names)}
    for split in splits:
        name = f"{split}list{fold:02d}.txt"
        source = annotation_file(annotations, name.replace(".", r"\."), f"UCF101's {name}")
        for line, text in lines_of(source):
            path, _, number = text.partition(" ")
            label = labels.get(path.partition("/")[0].casefold())
            if label is None or number.strip() not in ("", str(label + 1)):
                raise UserError(
                    f"{source}, line {line}: expected 'CLASS/FILE' or 'CLASS/FILE NUMBER' with a class of "
                    f"classInd.txt and its number. Received: {text!r}"
                )
            yield Record(path, label=label, split=split)


DATASETS.register("ucf101")(
    DataSet(read_ucf101, ("train", "test"), evaluation="test", folds=3, ignore_case=True)
)
