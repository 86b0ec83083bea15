"""FineGym: gym99 or gym288 lists of elements, with their times in finegym_annotation_info."""

from __future__ import annotations

import dataclasses
import functools
import math
import re
from collections.abc import Iterator

from bod_keras.data.datasets.folders import VideoFiles, without_repeats
from bod_keras.data.datasets.named._annotations import annotation_file, read_json
from bod_keras.data.datasets.registry import DATASETS, DataSet
from bod_keras.data.datasets.text import lines_of, to_integer
from bod_keras.data.record import Catalog, Record
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
        UserError: if a line cannot be understood, or an element has no time.
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
    records, remarks = without_repeats(records)
    return Catalog(records, class_names, True, list(missing), remarks=remarks)


def _listed(annotations: str, splits: tuple[str, ...], name: str, classes: int) -> Iterator[Record]:
    for split in splits:
        source = annotation_file(
            annotations, rf"{name}_{split}_element(_v1\.[01])?\.txt", f"{name}_{split}_element.txt"
        )
        for line, text in lines_of(source):
            element, _, cell = text.rpartition(" ")
            label = to_integer(cell)
            if not _ELEMENT.fullmatch(element) or label is None or not 0 <= label < classes:
                raise UserError(
                    f"{source}, line {line}: expected 'VIDEO_E_START_END_A_START_END LABEL' with a label "
                    f"below {classes}. Received: {text!r}"
                )
            yield Record(element, label=label, split=split)


def _locate(files: VideoFiles, record: Record, times: dict) -> Record | None:
    path = files.find(record.path)
    if path is not None:
        return dataclasses.replace(record, path=path)
    parts = _ELEMENT.fullmatch(record.path)
    try:
        event = times[parts["video"]][parts["in_video"]]
        stages = event["segments"][parts["in_event"]]["timestamps"]
        start, end = float(stages[0][0]), float(stages[-1][1])
        offset = float(event["timestamps"][0][0])
        if not 0 <= start < end < math.inf or not 0 <= offset < math.inf:
            raise ValueError("no times")
    except (KeyError, IndexError, TypeError, ValueError):
        raise UserError(
            f"finegym_annotation_info has no times for {record.path}, or its end is not after its start. Are "
            "list and info of the same version?"
        ) from None
    for name, first in ((parts["event"], 0.0), (parts["video"], offset)):
        path = files.find(name)
        if path is not None:
            return dataclasses.replace(record, path=path, span=(first + start, first + end))
    return None


def _class_names(annotations: str, name: str) -> list[str]:
    source = annotation_file(annotations, rf"{name}_categories\.txt", f"{name}_categories.txt")
    names = []
    for number, line in lines_of(source):
        # Clabel: 0; set: 1; Glabel: 1; (VT) round-off, ...
        head, *_, text = line.split(";", 3)
        if not re.fullmatch(rf"Clabel:\s*{len(names)}", head.strip()) or text == head:
            raise UserError(
                f"{source}, line {number}: expected 'Clabel: {len(names)}; ...; ...; NAME'. "
                f"Received: {line!r}"
            )
        names.append(text.strip())
    return names


for _name in ("gym99", "gym288"):
    DATASETS.register(_name)(
        DataSet(functools.partial(read_finegym, name=_name), ("train", "val"), evaluation="val")
    )
