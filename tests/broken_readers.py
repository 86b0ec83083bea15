"""A reader for the tests of the worker processes, whose decoder hangs, dies or fails at some files."""

import os
import sys
import time

from bod_keras.data.loading.reader import ClipReader


class BrokenReader(ClipReader):
    """What happens is the file's name; `modules.avi` fails with the names of all loaded modules."""

    def read(self, task, out):
        name = os.path.basename(self.records[task.index].path)
        if name.startswith("hang"):
            time.sleep(600)
        if name.startswith("slow"):
            time.sleep(1.5)
        if name.startswith("die"):
            os.abort()
        if name.startswith("once") and not os.path.exists(marker := name + ".marker"):
            open(marker, "w").close()
            os.abort()
        if name.startswith("bug"):
            raise KeyError("a bug")
        if name.startswith("modules"):
            raise RuntimeError(" ".join(sys.modules))
        out[:] = task.index
        return False
