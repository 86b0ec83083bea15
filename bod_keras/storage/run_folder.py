"""Where a run leaves its files: a local folder, or one on remote storage."""

import fnmatch
import shutil
import tempfile
from pathlib import Path

import keras

from bod_keras.errors import UserError
from bod_keras.storage import remote
from bod_keras.storage.atomic_file import PART
from bod_keras.storage.remote_error import RemoteError


class RunFolder:
    """A folder to write to: the local one itself, or a temporary copy, such as of one on remote storage.

    Remote storage holds the truth. `pull` fetches what is needed of it, `push` brings there what is new and
    removes what was removed here; a whole file at a time, `last` at the end. So whoever is killed at any moment
    finds there what the last `push` left, or a newer file or two.

    Args:
        where: path of the folder, which need not exist. It may have a scheme, as ``s3://bucket/runs/a``.
        stores: false in all processes of a run but one: those read what is stored, also of a local folder into
            a temporary copy, and store nothing.

    Attributes:
        path: the local folder.

    Raises:
        ValueError: the scheme can only be read.

    Example:
        >>> from bod_keras.training import RunFolder
        >>> folder = RunFolder("runs/demo-bod-seed0")
        >>> str(folder), folder.path.name, folder.is_remote
        ('runs/demo-bod-seed0', 'demo-bod-seed0', False)
    """

    last = "model.keras"  # its being there says that the run is finished

    def __init__(self, where, stores=True):
        self.stores = stores
        self.is_remote = remote.is_remote(where)
        self.where = str(where).rstrip("/") if self.is_remote else str(Path(where))
        self.path = Path(self.where)
        self._known = {}  # name -> state of the local file that equals the remote one
        if self.is_remote:
            if self.where.lower().startswith(("http://", "https://")):
                raise UserError(
                    f"http can only be read; a run cannot be kept at {self.where}. Choose a local folder or "
                    "s3://BUCKET/FOLDER."
                )
        self._is_copy = self.is_remote or not stores
        if self._is_copy:
            self.path = Path(tempfile.mkdtemp(prefix="bod_keras-"), Path(self.where).name)
            self.path.mkdir()

    def __str__(self):
        return self.where

    def names(self):
        """Names of the files that are stored, relative to the folder; half-written ones left out.

        Raises:
            RemoteError: the storage does not answer.
        """
        if self.is_remote:
            return remote.list_files(self.where) if remote.is_folder(self.where) else []
        names = _files_of(Path(self.where))
        return [name for name in names if not Path(name).name.startswith(PART)]

    def pull(self, *patterns):
        """Fetch the stored files that match one of the patterns, such as ``checkpoints/*``.

        Raises:
            RemoteError: the storage does not answer.
        """
        if not self._is_copy:
            return
        for name in self.names():
            if any(fnmatch.fnmatch(name, pattern) for pattern in patterns):
                if self.is_remote:
                    remote.download(f"{self.where}/{name}", self.path / name)
                else:
                    (self.path / name).parent.mkdir(parents=True, exist_ok=True)
                    shutil.copyfile(Path(self.where, name), self.path / name)
                self._known[name] = _state(self.path / name)

    def push(self):
        """Store what is new or changed, then remove what was removed here.

        Raises:
            RemoteError: the storage does not answer, or refuses.
        """
        if not self.is_remote or not self.stores:
            return
        names = _files_of(self.path)
        for name in sorted(names, key=lambda name: (name == self.last, name)):
            state = _state(self.path / name)
            if self._known.get(name) != state and not Path(name).name.startswith(PART):
                remote.upload(self.path / name, f"{self.where}/{name}")
                self._known[name] = state
        for name in sorted(self._known.keys() - set(names)):
            remote.delete(f"{self.where}/{name}")
            del self._known[name]

    def close(self):
        """Remove the temporary copy, if it is one."""
        if self._is_copy:
            shutil.rmtree(self.path.parent, ignore_errors=True)


class PushRunFolder(keras.callbacks.Callback):
    """Store a run's files after every epoch. What fails is told, and tried again after the next epoch.

    Args:
        folder: a `RunFolder`.

    Example:
        >>> from bod_keras.training import PushRunFolder, RunFolder
        >>> PushRunFolder(RunFolder("runs/demo")).folder.is_remote
        False
    """

    def __init__(self, folder):
        super().__init__()
        self.folder = folder

    def on_epoch_end(self, epoch, logs=None):
        try:
            self.folder.push()
        except RemoteError as error:
            print(f"\nNot stored, to be tried again after the next epoch: {error}", flush=True)


def _files_of(folder):
    if not folder.is_dir():
        return []
    files = (path for path in folder.rglob("*") if path.is_file())
    return sorted(path.relative_to(folder).as_posix() for path in files)


def _state(path):
    state = path.stat()
    return state.st_size, state.st_mtime_ns
