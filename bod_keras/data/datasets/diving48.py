"""Diving48: Diving48_V2_train.json, Diving48_V2_test.json and Diving48_vocab.json."""

from __future__ import annotations

from collections.abc import Iterator

from bod_keras.data.datasets.base import Catalog, annotation_file, read_entries, read_json
from bod_keras.data.datasets.files import VideoFiles
from bod_keras.data.record import Record
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
        ValueError: if a label is not in the vocabulary.
    """
    source = annotation_file(annotations, r"Diving48_vocab\.json", "Diving48_vocab.json")
    class_names = [" ".join(parts) for parts in read_json(source)]
    return files.catalog(
        (r for split in splits for r in _listed(annotations, split, len(class_names))), class_names
    )


def _listed(annotations: str, split: str, classes: int) -> Iterator[Record]:
    needed = f"Diving48_V2_{split}.json (version 1 has faulty labels)"
    source = annotation_file(annotations, rf"Diving48_V2_{split}\.json", needed)
    for entry in read_entries(source, "vid_name", "label"):
        if not 0 <= entry["label"] < classes:
            raise UserError(
                f"{source}: labels must lie in 0 to {classes - 1}, as in Diving48_vocab.json. "
                f"Received: {entry['label']} for {entry['vid_name']!r}"
            )
        yield Record(entry["vid_name"], label=entry["label"], split=split)
