"""Discs that move over still scenes, with their boxes, as a folder of real video files, written once."""

from __future__ import annotations

import json
import os
import tempfile
from pathlib import Path

import numpy as np

from bod_keras.data.synthetic.sprites import draw_color, draw_texture
from bod_keras.data.synthetic.synthetic_files import write_lossless
from bod_keras.errors import UserError

# Raise it when the frames for the same arguments change, so that no old folder is taken for new.
_VERSION = 1
_MANIFEST = "boxes.json"
CLASSES = ("right", "down", "left", "up")
_STEPS = np.array([(1, 0), (0, 1), (-1, 0), (0, -1)], float)
_SPLITS = ("train", "test")


def write_moving_discs(
    folder: str | os.PathLike,
    *,
    train: int = 160,
    test: int = 64,
    discs: int = 2,
    height: int = 48,
    width: int = 64,
    frames: int = 16,
    seed: int = 0,
) -> Path:
    """Write videos of discs, each of which moves to one side: the class of its boxes.

    A single frame does not tell the class. Discs differ in size, speed, color and start, never touch, and stay
    in the frame; the scenes of the two splits are cut out of different parts of photographs. The codec
    is FFV1 in .avi, which is lossless. The folder appears in one step when all is written; if it is there
    already with the same arguments, nothing is done.

    Args:
        folder: where to write; it must be new, or the result of an earlier call.
        train, test: number of videos.
        discs: in each video.
        height, width: of a frame in pixels, even; at least 32.
        frames: of a video.
        seed: the same seed gives the same frames.

    Returns:
        The folder, with the videos and boxes.json: a data set for `read_dataset("boxes", folder)`.

    Raises:
        ValueError: if an argument is out of range, or the folder holds something else.
        OSError: if a file cannot be written.

    Example:
        >>> from bod_keras.data import write_moving_discs
        >>> from pathlib import Path
        >>> import tempfile
        >>> from bod_keras.data import read_dataset
        >>> with tempfile.TemporaryDirectory() as place:
        ...     folder = write_moving_discs(Path(place, "discs"), train=1, test=1, frames=4)
        ...     catalog = read_dataset("boxes", folder, split="train")
        >>> catalog.class_names, len(catalog.records[0].boxes)
        (['right', 'down', 'left', 'up'], 8)
    """
    settings = {"train": train, "test": test, "discs": discs, "height": height, "width": width}
    settings |= {"frames": frames, "seed": seed, "version": _VERSION}
    for name, least in (("train", 1), ("test", 1), ("discs", 1), ("frames", 2), ("seed", 0)):
        if settings[name] < least:
            raise UserError(f"{name} must be at least {least}. Received: {name}={settings[name]}")
    for name in ("height", "width"):
        if settings[name] < 32 or settings[name] % 2:
            raise UserError(f"{name} must be even, from 32 on. Received: {name}={settings[name]}")
    folder = Path(folder)
    if _is_complete(folder, settings):
        return folder
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{folder.name}-", dir=folder.parent) as partial:
        content = Path(partial, "content")
        content.mkdir()
        _fill(content, settings)
        try:
            os.rename(content, folder)
        except OSError:  # another process may have finished the same data set in the meantime
            if not _is_complete(folder, settings):
                raise
    return folder


def _is_complete(folder: Path, settings: dict) -> bool:
    if not folder.exists():
        return False
    try:
        found = json.loads((folder / _MANIFEST).read_text())["made_with"]
    except (OSError, ValueError, LookupError, TypeError, RecursionError):
        found = None
    if found != settings:
        raise UserError(
            f"{folder} holds something else than the moving discs asked for ({found} instead of {settings}). "
            "Give another folder, or delete this one."
        )
    return True


def _fill(folder: Path, settings: dict) -> None:
    content: dict = {"class_names": CLASSES, "flip_safe": False, "splits": {}, "videos": {}}
    for stream, split in enumerate(_SPLITS):
        (folder / split).mkdir()
        names = [f"{split}/{split}_{n:05d}.avi" for n in range(settings[split])]
        content["splits"][split] = names
        for n, name in enumerate(names):
            rng = np.random.default_rng([settings["seed"], stream, n])
            clip, tubes = _draw(rng, split, settings)
            write_lossless(folder / name, clip)
            content["videos"][name] = {
                "size": [settings["height"], settings["width"]],
                "tubes": tubes,
            }
    content["made_with"] = settings
    (folder / _MANIFEST).write_text(json.dumps(content))


def _draw(rng: np.random.Generator, split: str, settings: dict) -> tuple[np.ndarray, list[dict]]:
    """One video and its tubes."""
    height, width, frames = (settings[key] for key in ("height", "width", "frames"))
    scene = draw_texture(rng, split, max(height, width))[:height, :width]
    clip = np.repeat(255 * scene[None], frames, axis=0)
    rows, columns = np.mgrid[:height, :width] + 0.5
    tubes: list[dict] = []
    for label, radius, centers in _paths(rng, settings):
        color = 255 * draw_color(rng)
        for frame, (x, y) in enumerate(centers):
            mask = np.clip(radius + 0.5 - np.hypot(columns - x, rows - y), 0, 1)[..., None]
            clip[frame] += mask * (color - clip[frame])
        boxes = np.concatenate([centers - radius, centers + radius], axis=1).round(3)
        tubes.append({"label": label, "frames": list(range(frames)), "boxes": boxes.tolist()})
    return (clip + 0.5).astype(np.uint8), tubes


def _paths(rng: np.random.Generator, settings: dict) -> list[tuple[int, float, np.ndarray]]:
    """Class, radius and centers of each disc; drawn again until none touches another."""
    size = np.array([settings["width"], settings["height"]], float)
    for _ in range(10_000):
        paths: list[tuple[int, float, np.ndarray]] = []
        for _ in range(settings["discs"]):
            label, radius = int(rng.integers(4)), rng.uniform(0.11, 0.16) * size.min()
            travel = _STEPS[label] * rng.uniform(0.3, 0.5) * size.min()
            low, high = radius - np.minimum(travel, 0), size - radius - np.maximum(travel, 0)
            start = rng.uniform(low, high)
            centers = start + travel * np.linspace(0, 1, settings["frames"])[:, None]
            near = (np.hypot(*(centers - c).T) < radius + r + 1 for _, r, c in paths)
            if any(touch.any() for touch in near):
                break
            paths.append((label, radius, centers))
        else:
            return paths
    raise UserError(f"{settings['discs']} discs do not fit the frame. Ask for fewer.")
