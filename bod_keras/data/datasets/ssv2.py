"""Something-Something v2: train.json, validation.json, test.json and labels.json."""

from __future__ import annotations

import csv
from collections.abc import Iterator

from bod_keras.data.datasets.base import Catalog, annotation_file, read_entries, read_json
from bod_keras.data.datasets.files import VideoFiles
from bod_keras.data.record import Record
from bod_keras.errors import UserError

_FILES = {"train": "train", "val": "validation", "test": "test"}
_PREFIX = r"(something-something-v2-)?"


def read_ssv2(files: VideoFiles, annotations: str, splits: tuple[str, ...], fold: int) -> Catalog:
    """Read the official files of Something-Something v2.

    The label is that of the template without its square brackets, in labels.json. The test file
    has none; they come from test-answers.csv where that is beside it. A flip turns "from left to
    right" into its opposite, so the catalogue is not flip-safe.

    Args:
        files: the videos, `{id}.webm` or another container.
        annotations: folder of the files.
        splits: of "train", "val" and "test".
        fold: not used, there is one.

    Returns:
        A `Catalog`.

    Raises:
        FileNotFoundError: if a file is missing.
        ValueError: if a template is not in labels.json.
    """
    source = annotation_file(annotations, rf"{_PREFIX}labels\.json", "SSv2's labels.json")
    # The numbers come as strings, "0" to "173".
    labels = {name: int(number) for name, number in read_json(source).items()}
    class_names = sorted(labels, key=labels.get)
    if sorted(labels.values()) != list(range(len(labels))):
        raise UserError(f"{source} must number its templates 0, 1, 2, ... without gaps.")
    return files.catalog(
        (record for split in splits for record in _listed(annotations, split, labels)),
        class_names,
        flip_safe=False,
    )


def _listed(annotations: str, split: str, labels: dict[str, int]) -> Iterator[Record]:
    name = f"{_FILES[split]}.json"
    source = annotation_file(annotations, _PREFIX + name.replace(".", r"\."), f"SSv2's {name}")
    answers = _answers(annotations) if split == "test" else {}
    for entry in read_entries(source, "id"):
        template = entry.get("template") or answers.get(entry["id"])
        if template is None:
            yield Record(entry["id"], split=split)
            continue
        plain = template.replace("[", "").replace("]", "")
        if plain not in labels:
            raise UserError(f"{source}: template {plain!r} is not in labels.json.")
        yield Record(entry["id"], label=labels[plain], split=split)


def _answers(annotations: str) -> dict[str, str]:
    try:
        source = annotation_file(annotations, r".*test-answers\.csv", "SSv2's test-answers.csv")
    except FileNotFoundError:
        return {}
    with open(source, encoding="utf-8-sig", newline="") as stream:
        return dict(csv.reader(stream, delimiter=";"))
