"""What a test must not leave behind: processes, threads, temporary folders, open files."""

import gc
import multiprocessing
import os
import tempfile
import threading
import time


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
            *(("process", f"{pid} {command[:200]}") for pid, command in children().items()),
            *(("thread", f"{thread.name} {thread.ident}") for thread in threads),
            *(("temporary entry", name) for name in _temporary()),
            *(("open file", name) for name in _open_files() if name.startswith(self.folder)),
        }


def children():
    """From number to command of this process' children, without those that live as long as it does."""
    try:
        os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
    except ChildProcessError:  # there is none, in a hundredth of the time
        return {}
    found = {}
    for task in os.listdir("/proc/self/task"):
        for pid in _read(f"/proc/self/task/{task}/children").split():
            command = _read(f"/proc/{pid}/cmdline").replace("\0", " ")
            if command and "resource_tracker" not in command and "forkserver" not in command:
                found[int(pid)] = command
    return found


def _read(path):
    """The text of a file, which is empty if its thread or process has ended."""
    try:
        with open(path, encoding="utf-8") as file:
            return file.read()
    except OSError:
        return ""


def _temporary():
    # TensorFlow leaves the text of converted functions there, and imports it; PyTorch's ONNX exporter a file,
    # and its compiler an empty cache.
    ignored = ("__autograph", "__pycache__", ".ses", "torchinductor_")
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
