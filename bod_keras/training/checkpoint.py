"""Checkpoints of a whole model that survive a kill at any moment."""

from __future__ import annotations

import os
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import keras

from bod_keras.errors import UserError
from bod_keras.storage.atomic_file import PART, atomic_file
from bod_keras.training.model import steps_taken


def save_model(model: keras.Model, path: str | os.PathLike) -> None:
    """Save a Keras model atomically: `path` holds the old file or the complete new one, never a part.

    Args:
        model: a Keras model.
        path: file name that ends in ``.keras``.

    Raises:
        OSError: the file cannot be written (disk full, no permission). What was at `path` is untouched.

    Example:
        >>> import keras, tempfile, pathlib
        >>> from bod_keras.training import save_model
        >>> target = pathlib.Path(tempfile.mkdtemp()) / "model.keras"
        >>> save_model(keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)]), target)
        >>> target.exists()
        True
    """
    try:
        with atomic_file(path) as part:
            model.save(part)
    except OSError as error:
        raise OSError(
            error.errno,
            f"Could not save {path}: {error.strerror or error}. Free some space or choose another "
            "folder with --config.output, then repeat the command: it resumes from the last checkpoint",
        ) from error


class Checkpoint(keras.callbacks.Callback):
    """Save the whole model, optimizer and data position included, at the end of every `every`-th epoch.

    Files are named ``step-00001234.keras`` after the steps taken; the `keep` newest stay.

    Args:
        folder: where to save.
        every: epochs between checkpoints.
        keep: how many to keep, at least 1.

    Raises:
        ValueError: `every` or `keep` below 1.

    Example:
        >>> from bod_keras.training import Checkpoint
        >>> Checkpoint("runs/demo/checkpoints", keep=2).keep
        2
    """

    def __init__(self, folder: str | os.PathLike, every: int = 1, keep: int = 2):
        super().__init__()
        if every < 1 or keep < 1:
            raise UserError(f"every and keep must be at least 1. Received: {every} and {keep}")
        self.folder = Path(folder)
        self.every = every
        self.keep = keep

    def on_train_begin(self, logs: Mapping[str, Any] | None = None) -> None:
        if self.folder.is_dir():  # what a run that was killed while it saved has left
            for part in self.folder.glob(f"{PART}*"):
                part.unlink()

    def on_epoch_end(self, epoch: int, logs: Mapping[str, Any] | None = None) -> None:
        # A run that stops early is saved by whoever stops it, once, at its last step.
        if (epoch + 1) % self.every == 0:
            self.save()

    def save(self) -> None:
        """Save the model now, under the steps that it has taken."""
        save_model(self.model, self.folder / f"step-{steps_taken(self.model):08d}.keras")
        for old in _files(self.folder)[: -self.keep]:
            old.unlink()


def load_checkpoint(folder: str | os.PathLike) -> tuple[keras.Model | None, list[Path]]:
    """Load the newest complete checkpoint of a folder.

    Args:
        folder: folder of `Checkpoint`; need not exist.

    Returns:
        ``(model, skipped)``: the model, or None if there is no complete checkpoint; and the paths of
        newer files that are damaged.

    Example:
        >>> from bod_keras.training import load_checkpoint
        >>> load_checkpoint("no such folder")
        (None, [])
    """
    path, skipped = _newest(folder)
    return None if path is None else keras.models.load_model(path), skipped


def newest_checkpoint(folder: str | os.PathLike) -> Path | None:
    """Return the path of the newest complete checkpoint of a folder, or None.

    Args:
        folder: folder of `Checkpoint`; need not exist.

    Example:
        >>> from bod_keras.training import newest_checkpoint
        >>> newest_checkpoint("no such folder")
    """
    return _newest(folder)[0]


def _newest(folder: str | os.PathLike) -> tuple[Path | None, list[Path]]:
    """The newest complete file, or None, and those that are newer and damaged."""
    skipped = []
    for path in reversed(_files(Path(folder))):
        if zipfile.is_zipfile(path):
            with zipfile.ZipFile(path) as archive:
                damaged = archive.testzip()
            if damaged is None:
                return path, skipped
        skipped.append(path)
    return None, skipped


def _files(folder: Path) -> list[Path]:
    return sorted(folder.glob("step-*.keras")) if folder.is_dir() else []
