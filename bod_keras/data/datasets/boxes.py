"""Videos of one's own with boxes.json, and the built-in moving discs, which are written in this form."""

from __future__ import annotations

from collections.abc import Iterator

from bod_keras.data.datasets.base import Catalog, annotation_file, read_json
from bod_keras.data.datasets.files import VideoFiles
from bod_keras.data.record import Box, Record
from bod_keras.errors import UserError


def read_boxes(files: VideoFiles, annotations: str, splits: tuple[str, ...], fold: int) -> Catalog:
    """Read boxes.json, one record a video.

    The file is `{"class_names": [...], "splits": {"train": [...], "test": [...]}, "videos": {name: {"size":
    [height, width], "tubes": [{"label": n, "frames": [...], "boxes": [[x1, y1, x2, y2], ...]}]}}}`, with frames
    from 0 and boxes in pixels, as of `ucf101_24_to_json`; and `"flip_safe": false` where a video that is
    flipped left to right has another class.

    Args:
        files: videos, or folders of frames.
        annotations: folder of the file.
        splits: of "train" and "test".
        fold: not used, there is one.

    Returns:
        A `Catalog`; `track` of a box is the number of its tube, `labels` of a record are those of its tubes.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if it cannot be understood.
    """
    source = annotation_file(annotations, r"boxes\.json", "boxes.json")
    content = read_json(source)
    try:
        records = [
            _record(name, split, content["videos"][name], len(content["class_names"]))
            for split in splits
            for name in content["splits"][split]
        ]
        return files.catalog(records, content["class_names"], content.get("flip_safe", True))
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise UserError(
            f"{source} must have class_names, splits and videos, with a size and tubes of label, frames and "
            f"boxes each. Received: {type(error).__name__} {error}"
        ) from None


def tube_boxes(video: dict) -> Iterator[Box]:
    """Give the boxes of the tubes of a video, as boxes.json and ucf101_24.json have them."""
    height, width = video["size"]
    for track, tube in enumerate(video["tubes"]):
        for frame, (x1, y1, x2, y2) in zip(tube["frames"], tube["boxes"], strict=True):
            corners = (x1 / width, y1 / height, x2 / width, y2 / height)
            yield Box(corners, labels=(tube["label"],), frame=frame, track=track)


def _record(name: str, split: str, video: dict, classes: int) -> Record:
    labels = tuple(sorted({tube["label"] for tube in video["tubes"]}))
    if not set(labels) <= set(range(classes)):
        raise UserError(f"{name} has the labels {labels}, there are {classes} classes")
    return Record(name, split=split, labels=labels, boxes=tuple(tube_boxes(video)))
