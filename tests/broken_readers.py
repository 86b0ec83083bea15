"""Readers for the tests of the worker processes, whose decoder hangs, dies or fails at some files."""

import os
import sys
import time

from bod_keras.data.loading.reader import ClipReader
from bod_keras.data.video.check import check_video


def misbehave(path):
    """What happens is the file's name; `modules.avi` fails with the names of all loaded modules."""
    name = os.path.basename(path)
    if name.startswith("hang"):
        time.sleep(600)
    if name.startswith("slow"):
        time.sleep(0.4)
    if name.startswith("die"):
        os.abort()
    if name.startswith("once") and not os.path.exists(marker := name + ".marker"):
        open(marker, "w").close()
        os.abort()
    if name.startswith("bug"):
        raise KeyError("a bug")
    if name.startswith("modules"):
        raise RuntimeError(" ".join(sys.modules))


def read_level(item, out):
    """Fill `out` with the number of an item `(path, number)`."""
    misbehave(item[0])
    out[:] = item[1]
    return item[1]


def check_or_hang(path, full=False):
    """`check_video`, unless the name says otherwise."""
    misbehave(path)
    return check_video(path, full)


class BrokenReader(ClipReader):
    """A `ClipReader` whose clips hold the number of their record."""

    def read(self, record, task, out):
        misbehave(record.path)
        out[:] = task.index
        return False
