"""UCF101-24: boxes of 24 classes of UCF101, from UCF101v2-GT.pkl or pyannot.pkl."""

from __future__ import annotations

import json
import os

import numpy as np

from bod_keras.data.datasets.folders import VideoFiles
from bod_keras.data.datasets.named._annotations import annotation_file, read_json
from bod_keras.data.datasets.named.boxes import tube_boxes, tube_videos
from bod_keras.data.datasets.named.plain_pickle import read_pickle
from bod_keras.data.datasets.registry import DATASETS, DataSet
from bod_keras.data.datasets.text import lines_of
from bod_keras.data.record import Catalog, Record
from bod_keras.errors import UserError
from bod_keras.storage.atomic_file import atomic_file

_CLASSES = (
    *("Basketball", "BasketballDunk", "Biking", "CliffDiving", "CricketBowling", "Diving"),
    *("Fencing", "FloorGymnastics", "GolfSwing", "HorseRiding", "IceDancing", "LongJump"),
    *("PoleVault", "RopeClimbing", "SalsaSpin", "SkateBoarding", "Skiing", "Skijet"),
    *("SoccerJuggling", "Surfing", "TennisSwing", "TrampolineJumping", "VolleyballSpiking"),
    "WalkingWithDog",
)
_SIZE = (240, 320)  # of every video of UCF101; pyannot.pkl does not say


def read_ucf101_24(
    files: VideoFiles, annotations: str, splits: tuple[str, ...], fold: int
) -> Catalog:
    """Read the boxes of UCF101-24 (split 1), one record a video.

    Takes, in this order, ucf101_24.json (`ucf101_24_to_json`), UCF101v2-GT.pkl, or pyannot.pkl with
    testlist01.txt or trainlist01.txt beside it. Pickle files are read without running code
    (`read_pickle`). Frame numbers start at 0, boxes are shares of width and height, and `track` is
    the number of the tube.

    Args:
        files: videos, or folders of frames.
        annotations: folder of the files.
        splits: of "train" and "test".
        fold: not used, there is one.

    Returns:
        A `Catalog`; labels number the sorted names.

    Raises:
        FileNotFoundError: if there are no annotations.
        UserError: if they cannot be understood.
    """
    source = _source(annotations)
    content = read_json(source) if source.endswith(".json") else _normalized(source)
    records = []
    for name, split, video in tube_videos(content, splits, source):
        folder = name.partition("/")[0]
        if folder not in content["class_names"]:
            raise UserError(
                f"{source}, video {name!r}: its folder must be one of class_names. Received: {folder!r}"
            )
        label = content["class_names"].index(folder)
        records.append(Record(name, label=label, split=split, boxes=tube_boxes(video)))
    return files.catalog(records, content["class_names"])


def ucf101_24_to_json(source: str | os.PathLike, target: str | os.PathLike) -> None:
    """Convert UCF101v2-GT.pkl or pyannot.pkl to JSON, which cannot hold code.

    The file is `{"class_names": [...], "splits": {"train": [...], "test": [...]}, "videos": {name:
    {"size": [height, width], "tubes": [{"label": n, "frames": [...], "boxes": [[x1, y1, x2, y2],
    ...]}]}}}`, with frames from 0 and boxes in pixels.

    Args:
        source: the pickle file.
        target: the JSON file, for `read_ucf101_24` named ucf101_24.json.

    Raises:
        UserError: if the pickle file asks for code, or is neither of the two.

    Example:
        >>> from bod_keras.data import ucf101_24_to_json
        >>> ucf101_24_to_json("UCF101v2-GT.pkl", "ucf101_24.json")  # doctest: +SKIP
    """
    content = _normalized(os.fspath(source))
    with atomic_file(target) as part:
        part.write_text(json.dumps(content), encoding="utf-8")


def _source(annotations: str) -> str:
    needed = "UCF101-24's UCF101v2-GT.pkl, pyannot.pkl or ucf101_24.json"
    for pattern in (r"ucf101_24\.json", r"UCF101v2-GT\.pkl"):
        try:
            return annotation_file(annotations, pattern, needed)
        except FileNotFoundError:
            continue
    return annotation_file(annotations, r"pyannot\.pkl", needed)


def _normalized(source: str) -> dict:
    content = read_pickle(source)
    try:
        return _from_tubes(content) if "gttubes" in content else _from_pyannot(content, source)
    except (AttributeError, IndexError, KeyError, TypeError, ValueError) as error:
        if isinstance(error, UserError):
            raise
        raise UserError(
            f"{source} is neither UCF101v2-GT.pkl (a dict with labels, gttubes, resolution, "
            f"train_videos, test_videos) nor pyannot.pkl: {type(error).__name__} {str(error)[:200]}"
        ) from None


def _from_tubes(content: dict) -> dict:
    videos = {}
    for name, by_label in content["gttubes"].items():
        tubes = []
        for label, found in by_label.items():
            for tube in map(np.asarray, found):
                # Columns: frame, counted from 1, and x1 y1 x2 y2.
                frames = _finite(tube)[:, 0] - 1
                if (frames % 1).any():
                    raise ValueError(f"{name} has a frame {frames[frames % 1 > 0][0] + 1:g}")
                frames = frames.astype(int).tolist()
                tubes.append(
                    {"label": int(label), "frames": frames, "boxes": tube[:, 1:5].tolist()}
                )
        height, width = content["resolution"][name]
        videos[name] = {"size": [int(height), int(width)], "tubes": tubes}
    return {
        "class_names": list(content["labels"]),
        "splits": {s: list(content[f"{s}_videos"][0]) for s in ("train", "test")},
        "videos": videos,
    }


def _finite(numbers: np.ndarray) -> np.ndarray:
    if not np.isfinite(numbers).all():
        raise ValueError("numbers that are not finite")
    return numbers


def _from_pyannot(content: dict, source: str) -> dict:
    videos = {}
    for name, video in content.items():
        tubes = []
        for tube in video["annotations"]:
            # x y width height, in integers too narrow for the sum; frames sf to ef - 1, from 0.
            boxes = _finite(np.array(tube["boxes"], np.float64))
            boxes[:, 2:] += boxes[:, :2]
            frames = list(range(int(tube["sf"]), int(tube["sf"]) + len(boxes)))
            if frames[-1:] != [int(tube["ef"]) - 1][: len(frames)]:
                raise ValueError(f"{name} has {len(boxes)} boxes from {tube['sf']} to {tube['ef']}")
            tubes.append({"label": int(tube["label"]), "frames": frames, "boxes": boxes.tolist()})
        videos[name] = {"size": list(_SIZE), "tubes": tubes}
    return {
        "class_names": list(_CLASSES),
        "splits": _listed_splits(os.path.dirname(source), videos),
        "videos": videos,
    }


def _listed_splits(folder: str, videos: dict) -> dict[str, list[str]]:
    for split, other in (("test", "train"), ("train", "test")):
        path = os.path.join(folder, f"{split}list01.txt")
        if os.path.exists(path):
            listed = {os.path.splitext(line.split()[0])[0] for _, line in lines_of(path)}
            return {
                split: sorted(name for name in videos if name in listed),
                other: sorted(name for name in videos if name not in listed),
            }
    raise FileNotFoundError(
        f"pyannot.pkl does not say which videos are for testing: put testlist01.txt beside it, in "
        f"{folder or '.'}."
    )


DATASETS.register("ucf101-24")(
    DataSet(read_ucf101_24, ("train", "test"), evaluation="test", ignore_case=True)
)
