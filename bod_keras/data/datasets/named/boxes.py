"""Your own videos with boxes.json, and the built-in moving discs, which are written in this form."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

from bod_keras.data.datasets.folders import VideoFiles
from bod_keras.data.datasets.named._annotations import annotation_file, check_label, read_json
from bod_keras.data.datasets.registry import DATASETS, DataSet
from bod_keras.data.record import Box, Catalog, Record
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
        UserError: if it cannot be understood.
    """
    source = annotation_file(annotations, r"boxes\.json", "boxes.json")
    content = read_json(source)
    records = []
    for name, split, video in tube_videos(content, splits, source):
        labels = tuple(sorted({tube["label"] for tube in video["tubes"]}))
        records.append(Record(name, split=split, labels=labels, boxes=tube_boxes(video)))
    return files.catalog(records, content["class_names"], content.get("flip_safe", True) is True)


def tube_videos(
    content: Any, splits: tuple[str, ...], source: str
) -> Iterator[tuple[str, str, dict]]:
    """Give name, split and checked entry of the videos of splits, as boxes.json and ucf101_24.json have them.

    Raises:
        UserError: if the content is not of that form; names the file and the video.
    """
    place = source
    try:
        names = content["class_names"]
        if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
            raise TypeError("class_names must be a list of texts")
        for split in splits:
            for name in content["splits"][split]:
                place = f"{source}, video {str(name)[:100]!r}"
                video = content["videos"][name]
                if not all(side > 0 and math.isfinite(side) for side in video["size"]):
                    raise ValueError(f"size {video['size']}")
                for tube in video["tubes"]:
                    tube["label"] = check_label(tube["label"], len(names), place, "class_names")
                    if not all(type(frame) is int and frame >= 0 for frame in tube["frames"]):
                        raise ValueError("frames must be integers from 0")
                    if not all(math.isfinite(side) for box in tube["boxes"] for side in box):
                        raise ValueError("boxes must be finite numbers")
                    if tube["boxes"] and all(abs(s) <= 1 for box in tube["boxes"] for s in box):
                        raise ValueError(f"boxes must be in pixels, not shares: {tube['boxes'][0]}")
                tube_boxes(video)
                yield name, split, video
    except UserError:
        raise
    except (AttributeError, KeyError, TypeError, ValueError, OverflowError) as error:
        raise UserError(
            f"{place} must have class_names, splits and videos, with a size and tubes of label, frames and "
            f"boxes each. Received: {type(error).__name__} {str(error)[:200]}"
        ) from None


def tube_boxes(video: dict) -> tuple[Box, ...]:
    """Give the boxes of the tubes of a video, as boxes.json and ucf101_24.json have them."""
    height, width = video["size"]
    return tuple(
        Box(
            (x1 / width, y1 / height, x2 / width, y2 / height),
            labels=(tube["label"],),
            frame=frame,
            track=track,
        )
        for track, tube in enumerate(video["tubes"])
        for frame, (x1, y1, x2, y2) in zip(tube["frames"], tube["boxes"], strict=True)
    )


DATASETS.register("boxes")(DataSet(read_boxes, ("train", "test"), evaluation="test"))
