"""A run on remote storage is stored while it trains."""

from __future__ import annotations

from collections.abc import Mapping

import keras

from bod_keras.storage.remote_error import RemoteError
from bod_keras.storage.run_folder import RunFolder


class PushRunFolder(keras.callbacks.Callback):
    """Store a run's files after every epoch. A failure is printed, and tried again after the next epoch.

    Args:
        folder: a `RunFolder`.

    Example:
        >>> from bod_keras.training import PushRunFolder, RunFolder
        >>> PushRunFolder(RunFolder("runs/demo")).folder.is_remote
        False
    """

    def __init__(self, folder: RunFolder):
        super().__init__()
        self.folder = folder

    def on_epoch_end(self, epoch: int, logs: Mapping[str, float] | None = None) -> None:
        try:
            self.folder.push()
        except RemoteError as error:
            print(f"\nNot stored, to be tried again after the next epoch: {error}", flush=True)
