"""UCF101: classInd.txt and the lists trainlist0X.txt, testlist0X.txt of ucfTrainTestlist."""

from __future__ import annotations

from collections.abc import Iterator

from bod_keras.data.datasets.base import Catalog, annotation_file, lines_of
from bod_keras.data.datasets.files import VideoFiles
from bod_keras.data.record import Record
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
        ValueError: if a line cannot be understood.
    """
    source = annotation_file(annotations, r"classInd\.txt", "UCF101's classInd.txt")
    names = [line.split(maxsplit=1) for line in lines_of(source)]
    if [number for number, *_ in names] != [str(n + 1) for n in range(len(names))]:
        raise UserError(f"{source} must number its classes 1, 2, 3, ... line by line.")
    class_names = [name for _, name in names]
    return files.catalog(_listed(annotations, splits, fold, class_names), class_names)


def _listed(
    annotations: str, splits: tuple[str, ...], fold: int, class_names: list[str]
) -> Iterator[Record]:
    labels = {name.casefold(): number for number, name in enumerate(class_names)}
    for split in splits:
        name = f"{split}list{fold:02d}.txt"
        source = annotation_file(annotations, name.replace(".", r"\."), f"UCF101's {name}")
        for line in lines_of(source):
            path, _, number = line.partition(" ")
            label = labels.get(path.partition("/")[0].casefold())
            if label is None or number.strip() not in ("", str(label + 1)):
                raise UserError(
                    f"{source}: expected 'CLASS/FILE' or 'CLASS/FILE NUMBER' with a class of "
                    f"classInd.txt and its number. Received: {line!r}"
                )
            yield Record(path, label=label, split=split)
