"""Diving48: Diving48_V2_train.json, Diving48_V2_test.json and Diving48_vocab.json."""

from __future__ import annotations

from collections.abc import Iterator

from bod_keras.data.datasets.folders import VideoFiles
from bod_keras.data.datasets.named._annotations import (
    annotation_file,
    check_label,
    read_entries,
    read_json,
)
from bod_keras.data.datasets.registry import DATASETS, DataSet
from bod_keras.data.record import Catalog, Record
from bod_keras.errors import UserError


def read_diving48(
    files: VideoFiles, annotations: str, splits: tuple[str, ...], fold: int
) -> Catalog:
    """Read the official files of Diving48, version 2.

    Version 1 has faulty labels and is not read. A class is take-off, somersaults, twists and
    position, none of which a flip changes. The videos are cut to the dive.

    Args:
        files: the videos, `{vid_name}.mp4`; the official frames are not complete.
        annotations: folder of the files.
        splits: of "train" and "test".
        fold: not used, there is one.

    Returns:
        A `Catalog`.

    Raises:
        FileNotFoundError: if a file is missing.
        UserError: if a label is not in the vocabulary.
    """
    source = annotation_file(annotations, r"Diving48_vocab\.json", "Diving48_vocab.json")
    vocabulary = read_json(source)
    try:
        class_names = [" ".join(parts) for parts in vocabulary]
    except TypeError:
        class_names = []
    if not class_names or any(isinstance(parts, str) for parts in vocabulary):
        raise UserError(
            f"{source} must hold a list of classes, each a list of words such as "
            f"['Back', '15som', '05Twis', 'FREE']. Received: {str(vocabulary)[:80]}"
        )
    return files.catalog(
        (r for split in splits for r in _listed(annotations, split, len(class_names))), class_names
    )


def _listed(annotations: str, split: str, classes: int) -> Iterator[Record]:
    needed = f"Diving48_V2_{split}.json (version 1 has faulty labels)"
    source = annotation_file(annotations, rf"Diving48_V2_{split}\.json", needed)
    for entry in read_entries(source, "vid_name", "label"):
        place = f"{source}, vid_name {entry['vid_name']!r}"
        label = check_label(entry["label"], classes, place, "Diving48_vocab.json")
        yield Record(str(entry["vid_name"]), label=label, split=split)


DATASETS.register("diving48")(DataSet(read_diving48, ("train", "test"), evaluation="test"))
