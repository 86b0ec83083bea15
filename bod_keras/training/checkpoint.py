"""Checkpoints of a whole model that survive a kill at any moment."""

from __future__ import annotations

import contextlib
import json
import os
import zipfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import keras

from bod_keras.errors import UserError
from bod_keras.storage.atomic_file import atomic_file, set_aside, sweep_parts
from bod_keras.storage.regular_file import regular_file
from bod_keras.training.model import steps_taken

_SETTINGS = "bod_keras.json"  # beside Keras' own files in the archive


def save_model(
    model: keras.Model, path: str | os.PathLike, settings: Mapping[str, Any] | None = None
) -> None:
    """Save a Keras model atomically: `path` holds the old file or the complete new one, never a part.

    Args:
        model: a Keras model.
        path: file name that ends in ``.keras``.
        settings: what the model was trained with, as JSON can hold it; `saved_settings` gives it back.

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
            with _any_clock():
                model.save(part)
            if settings is not None:
                with zipfile.ZipFile(part, "a") as archive:
                    archive.writestr(zipfile.ZipInfo(_SETTINGS), json.dumps(settings))
    except OSError as error:
        raise OSError(
            error.errno,
            f"Could not save {path}: {error.strerror or error}. Free some space or choose another "
            "folder with --config.output, then repeat the command: it resumes from the last checkpoint",
        ) from error


@contextlib.contextmanager
def _any_clock() -> Iterator[None]:
    """A ZIP file has no times before 1980 or after 2107: with such a clock Keras gets the nearest one."""
    options = zipfile.ZipFile.__init__.__kwdefaults__
    before = dict(options)
    options["strict_timestamps"] = False
    try:
        yield
    finally:
        options.update(before)


class Checkpoint(keras.callbacks.Callback):
    """Save the whole model, optimizer and data position included, at the end of every `every`-th epoch.

    Files are named ``step-00001234.keras`` after the steps taken; the `keep` newest stay. What is there under a
    later step when training begins, which `load_checkpoint` has passed over, is set aside, not overwritten.

    Args:
        folder: where to save.
        every: epochs between checkpoints.
        keep: how many to keep, at least 1.
        settings: as in `save_model`.

    Raises:
        ValueError: `every` or `keep` below 1.
    """

    def __init__(
        self,
        folder: str | os.PathLike,
        every: int = 1,
        keep: int = 2,
        settings: Mapping[str, Any] | None = None,
    ):
        super().__init__()
        if every < 1 or keep < 1:
            raise UserError(f"every and keep must be at least 1. Received: {every} and {keep}")
        self.folder = Path(folder)
        self.every = every
        self.keep = keep
        self.settings = settings
        self._began = False

    def on_train_begin(self, logs: Mapping[str, Any] | None = None) -> None:
        if self._began:  # the rest of the run, after an epoch that was completed
            return
        self._began = True
        sweep_parts(self.folder)
        own = self._path(steps_taken(self.model))
        for path in _files(self.folder):
            if path.name > own.name or not path.is_file():
                set_aside(path)

    def on_epoch_end(self, epoch: int, logs: Mapping[str, Any] | None = None) -> None:
        # A run that stops early is saved by whoever stops it, once, at its last step.
        if (epoch + 1) % self.every == 0:
            self.save()

    def save(self) -> None:
        """Save the model now, under the steps that it has taken."""
        save_model(self.model, self._path(steps_taken(self.model)), self.settings)
        for old in [path for path in _files(self.folder) if path.is_file()][: -self.keep]:
            old.unlink()

    def _path(self, steps: int) -> Path:
        return self.folder / f"step-{steps:08d}.keras"


def load_model(path: str | os.PathLike, compile: bool = True) -> keras.Model:
    """Load a ``.keras`` file as Keras does, after a check of every byte of it.

    Raises:
        UserError: it is damaged, or Keras cannot make its model here; the message has the file's name.
    """
    if reason := _damage(path):
        raise UserError(f"{path} is no complete .keras file ({reason}). Restore it from a copy.")
    try:
        return keras.models.load_model(path, compile=compile)
    except UserError:
        raise
    except Exception as error:  # whatever Keras and the classes of the file raise
        lines = str(error).strip().splitlines() or [type(error).__name__]
        raise UserError(
            f"{path} cannot be loaded: {lines[0][:300]} It was saved by Keras {_keras_version(path)}, this is "
            f"Keras {keras.__version__}. Classes of your own must be registered and imported first."
        ) from error


def load_checkpoint(
    folder: str | os.PathLike,
    check: Callable[[Mapping[str, Any] | None], str | None] | None = None,
    tell: Callable[[str], None] = lambda text: None,
) -> tuple[keras.Model | None, list[Path]]:
    """Load the newest complete checkpoint of a folder.

    Args:
        folder: folder of `Checkpoint`; need not exist.
        check: function of a checkpoint's settings (None if it has none): why it is not wanted, or None.
        tell: is given a sentence about each file that is passed over.

    Returns:
        ``(model, skipped)``: the model, or None if there is no complete checkpoint; and the paths of
        newer files that are damaged or not wanted.
    """
    path, skipped = _newest(folder, check, tell)
    return None if path is None else load_model(path), skipped


def newest_checkpoint(folder: str | os.PathLike) -> Path | None:
    """Return the path of the newest complete checkpoint of a folder, which need not exist, or None."""
    return _newest(folder)[0]


def saved_settings(path: str | os.PathLike) -> dict[str, Any] | None:
    """Return the settings that a file of `save_model` has with its model; None if it has none."""
    try:
        with zipfile.ZipFile(regular_file(path)) as archive:
            found = json.loads(archive.read(_SETTINGS))
    except Exception:  # of a damaged file, zipfile raises what it happens to meet
        return None
    return found if isinstance(found, dict) else None


def _newest(
    folder: str | os.PathLike, check=None, tell=lambda text: None
) -> tuple[Path | None, list[Path]]:
    """The newest complete file that is wanted, or None, and those that are newer."""
    skipped = []
    for path in reversed(_files(Path(folder))):
        if reason := _damage(path):
            tell(f"{path} is damaged and was passed over ({reason}).")
        elif check is not None and (reason := check(saved_settings(path))):
            tell(f"{path} was passed over: {reason}")
        else:
            return path, skipped
        skipped.append(path)
    return None, skipped


def _damage(path: str | os.PathLike) -> str | None:
    """Why a .keras file is not whole, or None."""
    try:
        with zipfile.ZipFile(regular_file(path)) as archive:
            wrong = archive.testzip()
            missing = {"config.json", "metadata.json"} - set(archive.namelist())
    except Exception as error:  # of a damaged file, zipfile raises what it happens to meet
        return f"{type(error).__name__}: {error}"
    if wrong is not None or missing:
        return f"{wrong} has another checksum" if wrong else f"it holds no {sorted(missing)[0]}"
    return None


def _keras_version(path: str | os.PathLike) -> str:
    try:
        with zipfile.ZipFile(regular_file(path)) as archive:
            return str(json.loads(archive.read("metadata.json"))["keras_version"])
    except Exception:
        return "(it does not say which)"


def _files(folder: Path) -> list[Path]:
    return sorted(folder.glob("step-*.keras")) if folder.is_dir() else []
