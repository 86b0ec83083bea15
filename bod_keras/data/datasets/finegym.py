"""FineGym: gym99 or gym288 lists of elements, with their times in finegym_annotation_info."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterator

from bod_keras.data.datasets.base import Catalog, annotation_file, lines_of, read_json
from bod_keras.data.datasets.files import VideoFiles
from bod_keras.data.record import Record
from bod_keras.errors import UserError

_ELEMENT = re.compile(r"(?P<event>(?P<video>.+)_(?P<in_video>E_\d+_\d+))_(?P<in_event>A_\d+_\d+)")


def read_finegym(
    files: VideoFiles, annotations: str, splits: tuple[str, ...], fold: int, *, name: str = "gym99"
) -> Catalog:
    """Read the official files of FineGym.

    An element, `{video}_E_{start}_{end}_A_{start}_{end}`, is looked for as a file of its own, then
    in the file of its event, `{video}_E_{start}_{end}`, then in the whole video. In the latter two
    the record's `span` is where it is: the times of finegym_annotation_info, those of an element
    counted from its event. (The numbers in the name are rounded to seconds.)

    Args:
        files: elements, events or whole videos.
        annotations: folder of `{name}_train_element_v1.1.txt` (or v1.0), `{name}_val_element.txt`,
            `{name}_categories.txt` and finegym_annotation_info_v1.1.json (or v1.0).
        splits: of "train" and "val".
        fold: not used, there is one.
        name: "gym99" or "gym288".

    Returns:
        A `Catalog`.

    Raises:
        FileNotFoundError: if a file is missing.
        ValueError: if a line cannot be understood, or an element has no time.
    """
    class_names = _class_names(annotations, name)
    times = read_json(
        annotation_file(
            annotations,
            r"finegym_annotation_info_v1\.[01]\.json",
            "FineGym's finegym_annotation_info_v1.1.json",
        )
    )
    records, missing = [], {}
    for record in _listed(annotations, splits, name, len(class_names)):
        found = _locate(files, record, times)
        if found is None:
            missing[record.path] = None
        else:
            records.append(found)
    return Catalog(records, class_names, True, list(missing))


def _listed(annotations: str, splits: tuple[str, ...], name: str, classes: int) -> Iterator[Record]:
    for split in splits:
        source = annotation_file(
            annotations, rf"{name}_{split}_element(_v1\.[01])?\.txt", f"{name}_{split}_element.txt"
        )
        for line in lines_of(source):
            element, _, label = line.rpartition(" ")
            if not _ELEMENT.fullmatch(element) or not label.isdigit() or int(label) >= classes:
                raise UserError(
                    f"{source}: expected 'VIDEO_E_START_END_A_START_END LABEL' with a label below "
                    f"{classes}. Received: {line!r}"
                )
            yield Record(element, label=int(label), split=split)


def _locate(files: VideoFiles, record: Record, times: dict) -> Record | None:
    path = files.find(record.path)
    if path is not None:
        return dataclasses.replace(record, path=path)
    parts = _ELEMENT.fullmatch(record.path)
    try:
        event = times[parts["video"]][parts["in_video"]]
        stages = event["segments"][parts["in_event"]]["timestamps"]
        start, end = stages[0][0], stages[-1][1]
        offset = event["timestamps"][0][0]
    except (KeyError, IndexError, TypeError):
        raise UserError(
            f"finegym_annotation_info has no times for {record.path}. Are list and info of the same "
            "version?"
        ) from None
    for name, first in ((parts["event"], 0.0), (parts["video"], offset)):
        path = files.find(name)
        if path is not None:
            return dataclasses.replace(record, path=path, span=(first + start, first + end))
    return None


def _class_names(annotations: str, name: str) -> list[str]:
    source = annotation_file(annotations, rf"{name}_categories\.txt", f"{name}_categories.txt")
    names = []
    for line in lines_of(source):
        # Clabel: 0; set: 1; Glabel: 1; (VT) round-off, ...
        head, *_, text = line.split(";", 3)
        if not re.fullmatch(rf"Clabel:\s*{len(names)}", head.strip()) or text == head:
            raise UserError(
                f"{source}: expected 'Clabel: {len(names)}; ...; ...; NAME'. Received: {line!r}"
            )
        names.append(text.strip())
    return names
