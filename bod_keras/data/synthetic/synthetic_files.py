"""The digit-drift clips as a folder of real video files with a labels.csv, written once."""

from __future__ import annotations

import csv
import json
import os
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np

from bod_keras.data.synthetic.synthetic import (
    SCENES,
    check_geometry,
    iterate_clips,
    sample_factors,
)
from bod_keras.errors import UserError, check_choice

# Raise it when the frames for the same arguments change, so that no old folder is taken for new.
_VERSION = 1
_FPS = 12.0
_MANIFEST = "manifest.json"
_LABELS = "labels.csv"
# Split name -> (which pictures, stream number of its random draws).
_SPLITS = {"train": ("train", 0), "probe_train": ("train", 2), "probe_test": ("test", 1)}


def write_digit_drift(
    folder: str | os.PathLike,
    *,
    rho: float = 0.95,
    train: int = 1024,
    probe_train: int = 512,
    probe_test: int = 512,
    size: int = 32,
    frames: int = 24,
    seed: int = 0,
    scene: str = "photos",
    progress: Callable[[int, int], None] | None = None,
) -> Path:
    """Write the digit-drift data set as video files, once.

    Split `train` has co-occurrence `rho`; `probe_train` and `probe_test` are decorrelated
    (`rho = 0`, balanced), and `probe_test` shows pictures that the others never show. Split
    `train` holds the clips of `digit_drift_arrays(train, rho, ...)` with the same seed. The codec
    is FFV1 in .avi, which is lossless: no trace that a lossy codec may leave behind a moving
    object can betray its direction in single frames.

    The folder appears in one step when all is written. If it is there already with the same
    arguments, nothing is done.

    Args:
        folder: where to write; it must be new, empty, or the result of an earlier call.
        rho: probability that the dynamic class of a training clip is forced to the tied one.
        train: number of training clips.
        probe_train: number of clips to fit a probe on.
        probe_test: number of clips to test a probe on.
        size: height and width in pixels, even.
        frames: frames of a clip.
        seed: the same seed gives the same frames.
        scene: "photos", or "noise": digit and direction are seen in motion alone (`render_noise`).
        progress: called as `progress(done, total)` after each file; None is silent.

    Returns:
        Path of `labels.csv` with columns `path,split,digit,direction`, for `read_catalog`.

    Raises:
        ValueError: if an argument is out of range, or the folder holds something else.
        OSError: if a file cannot be written.

    Example:
        >>> from bod_keras.data import write_digit_drift
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     labels = write_digit_drift(folder, train=2, probe_train=1, probe_test=1, frames=4)
        ...     labels.read_text().splitlines()[0]
        'path,split,digit,direction'
    """
    check_geometry(frames, size)
    if size % 2:
        raise UserError(f"size must be even, as video codecs need it. Received: size={size}")
    counts = {"train": train, "probe_train": probe_train, "probe_test": probe_test}
    for name, count in counts.items():
        if count < 1:
            raise UserError(f"{name} must be at least 1 clip. Received: {name}={count}")
    manifest = {"rho": float(rho), **counts, "size": size, "frames": frames, "seed": seed}
    check_choice("scene", scene, SCENES)
    if scene != "photos":  # which had no name before
        manifest["scene"] = scene
    manifest["version"] = _VERSION
    folder = Path(folder)
    if _is_complete(folder, manifest):
        return folder / _LABELS
    folder.parent.mkdir(parents=True, exist_ok=True)
    partial = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
    try:
        # mkdtemp makes folders for the owner only; the data set should follow the umask.
        partial.chmod(0o777 & ~_umask())
        _fill(partial, manifest, progress)
        _move_into_place(partial, folder, manifest)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return folder / _LABELS


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def _is_complete(folder: Path, manifest: dict) -> bool:
    """Say whether the data set is there already; refuse a folder with anything else in it."""
    if not folder.exists() or (folder.is_dir() and not any(folder.iterdir())):
        return False
    try:
        found = dict(json.loads((folder / _MANIFEST).read_text()))
    except (OSError, ValueError, TypeError, RecursionError):
        raise UserError(
            f"{folder} holds files, but no data set of write_digit_drift. "
            "Give a new or empty folder."
        ) from None
    differing = [
        f"{key} (there: {found.get(key)!r}, asked for: {manifest.get(key)!r})"
        for key in {**manifest, **found}
        if found.get(key) != manifest.get(key)
    ]
    if differing:
        raise UserError(
            f"{folder} holds a digit-drift data set made with other arguments: "
            f"{', '.join(differing)}. Give another folder, or delete this one."
        )
    return True


def _fill(folder: Path, manifest: dict, progress: Callable[[int, int], None] | None) -> None:
    """Write the files, then labels.csv, then the manifest."""
    size, frames, seed = manifest["size"], manifest["frames"], manifest["seed"]
    total = sum(manifest[split] for split in _SPLITS)
    rows: list[tuple[str, str, int, int]] = []
    for split, (images, stream) in _SPLITS.items():
        (folder / split).mkdir()
        rho = manifest["rho"] if split == "train" else 0.0
        rng = np.random.default_rng([seed, stream])
        static, dynamic = sample_factors(manifest[split], rho, rng)
        clips = iterate_clips(
            static,
            dynamic,
            frames=frames,
            size=size,
            key=(seed, stream),
            images=images,
            scene=manifest.get("scene", "photos"),
        )
        for index, clip in enumerate(clips):
            name = f"{split}/{index:06d}.avi"
            write_lossless(folder / name, clip)
            rows.append((name, split, int(static[index]), int(dynamic[index])))
            if progress is not None:
                progress(len(rows), total)
    with open(folder / _LABELS, "w", newline="", encoding="utf-8") as stream_out:
        writer = csv.writer(stream_out, lineterminator="\n")
        writer.writerow(("path", "split", "digit", "direction"))
        writer.writerows(rows)
    (folder / _MANIFEST).write_text(json.dumps(manifest, indent=2) + "\n")


def write_lossless(path: Path, clip: np.ndarray) -> None:
    """Write one RGB clip, uint8 `(frames, height, width, 3)`, as FFV1, and make sure that it arrived."""
    height, width = clip.shape[1:3]
    codec = cv2.VideoWriter_fourcc(*"FFV1")
    name = os.path.abspath(path)
    writer = cv2.VideoWriter(name, cv2.CAP_FFMPEG, codec, _FPS, (width, height))
    if not writer.isOpened():
        raise OSError(
            f"Cannot write {path}: OpenCV did not open it. Is the disk full or read-only?"
        )
    for frame in clip:
        writer.write(cv2.cvtColor(frame, cv2.COLOR_RGB2BGR))
    writer.release()
    # OpenCV reports no write error, for example on a full disk. The size that the header of an .avi
    # states (bytes 4 to 8) is filled in last, so it tells whether all of the file arrived.
    with open(path, "rb") as stream:
        stated = int.from_bytes(stream.read(8)[4:], "little") + 8
    if stated != path.stat().st_size:
        raise OSError(f"Cannot write {path}: the file is not whole. Is the disk full?")


def _move_into_place(partial: Path, folder: Path, manifest: dict) -> None:
    try:
        os.rename(partial, folder)
    except OSError:
        # Another process may have finished the same data set in the meantime.
        if not _is_complete(folder, manifest):
            raise
