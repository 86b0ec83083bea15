"""Something-Something v2: train.json, validation.json, test.json and labels.json."""

from __future__ import annotations

from collections.abc import Iterator

from bod_keras.data.datasets.folders import VideoFiles
from bod_keras.data.datasets.named._annotations import annotation_file, read_entries, read_json
from bod_keras.data.datasets.registry import DATASETS, DataSet
from bod_keras.data.datasets.text import csv_rows, read_text, split_lines, to_integer
from bod_keras.data.record import Catalog, Record
from bod_keras.errors import UserError

_FILES = {"train": "train", "val": "validation", "test": "test"}
_PREFIX = r"(something-something-v2-)?"


def read_ssv2(files: VideoFiles, annotations: str, splits: tuple[str, ...], fold: int) -> Catalog:
    """Read the official files of Something-Something v2.

    The label is that of the template without its square brackets, in labels.json. The test file
    has none; they come from test-answers.csv where that is beside it. A flip turns "from left to
    right" into its opposite, so the catalog is not flip-safe. Forms that are published elsewhere are read,
    too: ids that are integers, labels.json as a list, and entries whose `label` is the template.

    Args:
        files: the videos, `{id}.webm` or another container.
        annotations: folder of the files.
        splits: of "train", "val" and "test".
        fold: not used, there is one.

    Returns:
        A `Catalog`.

    Raises:
        FileNotFoundError: if a file is missing.
        UserError: if a template is missing, or is not in labels.json.
    """
    source = annotation_file(annotations, rf"{_PREFIX}labels\.json", "SSv2's labels.json")
    class_names = _class_names(source)
    labels = {name: number for number, name in enumerate(class_names)}
    return files.catalog(
        (record for split in splits for record in _listed(annotations, split, labels)),
        class_names,
        flip_safe=False,
    )


def _class_names(source: str) -> list[str]:
    content = read_json(source)
    if isinstance(content, list):
        content = {_plain(name): number for number, name in enumerate(content)}
        numbers = dict(content)
    elif isinstance(content, dict):  # the numbers come as strings, "0" to "173"
        numbers = {_plain(name): to_integer(str(number)) for name, number in content.items()}
    else:
        numbers = {}
    if not numbers or set(numbers.values()) != set(range(len(content))):
        raise UserError(
            f"{source} must number its templates 0, 1, 2, ... without gaps, each once, as "
            f"{{template: number}}; or list them. Received: {str(content)[:80]}"
        )
    return sorted(numbers, key=numbers.get)


def _listed(annotations: str, split: str, labels: dict[str, int]) -> Iterator[Record]:
    name = f"{_FILES[split]}.json"
    source = annotation_file(annotations, _PREFIX + name.replace(".", r"\."), f"SSv2's {name}")
    answers = _answers(annotations) if split == "test" else {}
    for entry in read_entries(source, "id"):
        video = str(entry["id"])
        template = entry.get("template") or answers.get(video)
        if template is None and _plain(entry.get("label")) in labels:
            template = entry["label"]
        if template is None and split == "test":
            yield Record(video, split=split)
            continue
        if _plain(template) not in labels:
            received = f"template {_plain(template)!r} is not in labels.json"
            if template is None:
                received = "expected a template of labels.json, received an entry without one"
            raise UserError(f"{source}, id {video}: {received}.")
        yield Record(video, label=labels[_plain(template)], split=split)


def _plain(template: object) -> str:
    return str(template or "").replace("[", "").replace("]", "")


def _answers(annotations: str) -> dict[str, str]:
    try:
        source = annotation_file(annotations, r".*test-answers\.csv", "SSv2's test-answers.csv")
    except FileNotFoundError:
        return {}
    answers = {}
    for line, cells in csv_rows(source, split_lines(read_text(source)), delimiter=";"):
        if cells:
            if len(cells) != 2:
                raise UserError(f"{source}, line {line}: expected 'ID;TEMPLATE'. Received: {cells}")
            answers[cells[0]] = cells[1]
    return answers


DATASETS.register("ssv2")(DataSet(read_ssv2, ("train", "val", "test"), evaluation="val"))
