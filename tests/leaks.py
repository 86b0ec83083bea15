"""What a test must not leave behind: processes, threads, temporary folders, open files."""

import gc
import multiprocessing
import os
import tempfile
import threading
import time
from pathlib import Path


class Leaks:
    """What there is now, to be compared with what there is after a test.

    Args:
        folder: Open files below it count.
    """

    def __init__(self, folder):
        self.folder = os.path.realpath(folder)
        self.before = self._now()

    def found(self, patience=5.0):
        """Kind and name of what is there and was not before.

        Args:
            patience: Seconds in which a process that was told to end must have ended.
        """
        left, deadline = self._now() - self.before, time.monotonic() + patience
        if left:
            gc.collect()  # an object that is only reached in a circle is no longer in use
        while left and time.monotonic() < deadline:
            left = self._now() - self.before
            time.sleep(0.02)
        return sorted(left)

    def _now(self):
        multiprocessing.active_children()  # takes the exit codes of those that ended
        threads = [t for t in threading.enumerate() if t.is_alive() and not t.daemon]
        return {
            *(("process", name) for name in _children()),
            *(("thread", f"{thread.name} {thread.ident}") for thread in threads),
            *(("temporary entry", name) for name in _temporary()),
            *(("open file", name) for name in _open_files() if name.startswith(self.folder)),
        }


def _children():
    """Children of this process, without those that all processes share until their end."""
    for task in Path("/proc/self/task").glob("*/children"):
        try:
            pids = task.read_text().split()
        except OSError:  # the thread has ended
            continue
        for pid in pids:
            try:
                command = Path(f"/proc/{pid}/cmdline").read_bytes().decode().replace("\0", " ")
            except OSError:
                continue
            if command and "resource_tracker" not in command and "forkserver" not in command:
                yield f"{pid} {command[:200]}"


def _temporary():
    # TensorFlow leaves the text of converted functions there, and imports it; PyTorch's ONNX exporter a file.
    ignored = ("__autograph", "__pycache__", ".ses")
    with os.scandir(tempfile.gettempdir()) as entries:
        for entry in entries:
            # Keras saves by way of such a folder, and leaves it where a save fails or is killed.
            of_keras = entry.name.startswith("tmp") and entry.is_dir()
            if not of_keras and not entry.name.startswith(ignored):
                yield entry.name


def _open_files():
    if not os.path.isdir("/proc/self/fd"):
        return
    for number in os.listdir("/proc/self/fd"):
        try:
            yield os.readlink(f"/proc/self/fd/{number}")
        except OSError:  # of this listing itself
            continue
