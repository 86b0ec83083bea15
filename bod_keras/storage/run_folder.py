"""Where a run leaves its files: a local folder, or one on remote storage."""

from __future__ import annotations

import fnmatch
import os
import shutil
import tempfile
from pathlib import Path

from bod_keras.errors import UserError
from bod_keras.storage import remote
from bod_keras.storage.atomic_file import PART
from bod_keras.storage.lock import is_lock


class RunFolder:
    """Write a run's files to a local folder, or to a temporary copy of one on remote storage.

    Remote storage holds the truth. `pull` fetches what is needed of it, `push` stores what is new and deletes
    what was deleted here; whole files only, `last` at the end. So a process that is killed at any moment leaves
    there what the last `push` left, or a newer file or two.

    Args:
        where: path of the folder, which need not exist. It may be remote, as ``s3://bucket/runs/a``.
        stores: false in all processes of a run but one: those read what is stored, also of a local folder into
            a temporary copy, and store nothing.

    Attributes:
        path: the local folder.

    Raises:
        UserError: the scheme can only be read.
    """

    last = "model.keras"  # its being there says that the run is finished

    def __init__(self, where: str | os.PathLike, stores: bool = True):
        self.stores = stores
        self.is_remote = remote.is_remote(where)
        self.where = str(where).rstrip("/") if self.is_remote else str(Path(where))
        self.path = Path(self.where)
        self._known: dict[str, tuple[int, int]] = {}  # states of local files as stored
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

    def __str__(self) -> str:
        return self.where

    def names(self) -> list[str]:
        """Return the names of the stored files, relative to the folder; half-written ones are left out.

        Raises:
            RemoteError: the storage does not answer.
        """
        if self.is_remote:
            return remote.list_files(self.where) if remote.is_folder(self.where) else []
        names = _files_of(Path(self.where))
        return [name for name in names if not Path(name).name.startswith(PART)]

    def pull(self, *patterns: str) -> None:
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

    def push(self) -> None:
        """Store what is new or changed, then delete what was deleted here.

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

    def close(self) -> None:
        """Remove the temporary copy, if it is one."""
        if self._is_copy:
            shutil.rmtree(self.path.parent, ignore_errors=True)


def _files_of(folder: Path) -> list[str]:
    if not folder.is_dir():
        return []
    files = (path for path in folder.rglob("*") if path.is_file() and not is_lock(path.name))
    return sorted(path.relative_to(folder).as_posix() for path in files)


def _state(path: Path) -> tuple[int, int]:
    state = path.stat()
    return state.st_size, state.st_mtime_ns
