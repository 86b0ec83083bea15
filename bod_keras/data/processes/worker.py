"""What runs in a worker process: calls a function for item after item until its parent is gone.

The process imports neither TensorFlow nor Keras: `WorkerPool` starts it so that `bod_keras/__init__.py`
does not run.
"""

from __future__ import annotations

import mmap
import os
import queue
import signal
import threading
import traceback
from multiprocessing.connection import Connection

import cv2
import numpy as np

from bod_keras.data.video.video_file import VideoError

# The exit code of a process that has had nothing to do.
IDLE = 75


def main(channel: int, memory: int, patience: float) -> None:
    """Serve a `WorkerPool` until it hangs up.

    Args:
        channel: file descriptor of the connection to the parent.
        memory: file descriptor of the shared memory.
        patience: seconds without an item after which the process ends; its pool starts another if it is needed.

    Example:
        >>> from bod_keras.data.processes.worker import main
        >>> main(channel=3, memory=4, patience=60.0)  # doctest: +SKIP
    """
    # Ctrl-C reaches the whole process group; the parent saves first, and hangs up when it is done.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    cv2.setNumThreads(1)  # one process a core
    connection = Connection(channel)
    function = connection.recv()
    inbox: queue.SimpleQueue = queue.SimpleQueue()
    dropped = threading.Event()
    threading.Thread(target=_listen, args=(connection, inbox, dropped), daemon=True).start()
    connection.send("ready")
    shared = None
    while True:
        try:
            message = inbox.get(timeout=patience)
        except queue.Empty:
            os._exit(IDLE)
        if message is None:  # what was queued before it is dealt with
            dropped.clear()
            continue
        ticket, item, place = message
        if dropped.is_set():
            connection.send((ticket, "dropped", None))
            continue
        arguments = (item,)
        if place is not None:
            offset, shape, size = place
            if shared is None or len(shared) != size:
                shared = mmap.mmap(memory, size)
            out = np.frombuffer(shared, np.uint8, int(np.prod(shape)), offset).reshape(shape)
            arguments = (item, out)
        try:
            answer = ("done", function(*arguments))
        except VideoError as error:
            answer = ("bad", error.reason)
        except OSError as error:  # of the storage, not of the file
            answer = ("storage", str(error))
        except Exception:
            answer = ("failed", traceback.format_exc())
        connection.send((ticket, *answer))


def _listen(connection: Connection, inbox: queue.SimpleQueue, dropped: threading.Event) -> None:
    """Take messages while a call is under way, and end the process when the parent is gone.

    The parent's end closes however the parent died; a decoder that hangs cannot keep the process.
    """
    while True:
        try:
            message = connection.recv()
        except (EOFError, OSError):
            os._exit(0)
        if message is None:
            dropped.set()
        inbox.put(message)
