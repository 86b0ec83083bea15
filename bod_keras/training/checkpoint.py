"""Checkpoints of a whole model that survive a kill at any moment."""

import zipfile
from pathlib import Path

import keras

from bod_keras.errors import UserError
from bod_keras.storage.atomic_file import PART, atomic_file
from bod_keras.training.model import steps_taken


def save_model(model, path):
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

    def __init__(self, folder, every=1, keep=2):
        super().__init__()
        if every < 1 or keep < 1:
            raise UserError(f"every and keep must be at least 1. Received: {every} and {keep}")
        self.folder = Path(folder)
        self.every = every
        self.keep = keep

    def on_train_begin(self, logs=None):
        if self.folder.is_dir():  # what a run that was killed while it saved has left
            for part in self.folder.glob(f"{PART}*"):
                part.unlink()

    def on_epoch_end(self, epoch, logs=None):
        # A run that stops early is saved by whoever stops it, once, at its last step.
        if (epoch + 1) % self.every == 0:
            self.save()

    def save(self):
        save_model(self.model, self.folder / f"step-{steps_taken(self.model):08d}.keras")
        for old in _files(self.folder)[: -self.keep]:
            old.unlink()


def load_checkpoint(folder):
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
    skipped = []
    for path in reversed(_files(Path(folder))):
        if zipfile.is_zipfile(path):
            with zipfile.ZipFile(path) as archive:
                damaged = archive.testzip()
            if damaged is None:
                return keras.models.load_model(path), skipped
        skipped.append(path)
    return None, skipped


def _files(folder):
    return sorted(folder.glob("step-*.keras")) if folder.is_dir() else []
