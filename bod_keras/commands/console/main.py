"""Everything that bod_keras does at the prompt: bod-keras COMMAND --help

init      write a config for your own videos, to start from
train     pre-train a video encoder
evaluate  frozen features by named protocols: numbers, tables, pictures
compare   runs side by side: in what they differ, what they gave
embed     videos to one file of vectors: what is shown, and how it moves
search    videos that look like one, move like one, or are duplicates
explore   a page to look through embedded videos, without network
export    an encoder for another runtime: PyTorch, ONNX, SavedModel
verify    videos that are missing, broken, too short or duplicated
shards    write TFRecord shards of JPEG frames
serve     read and augment for other machines
"""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Sequence

from bod_keras.backend.with_keras import with_keras
from bod_keras.errors import nearest
from bod_keras.storage.clean_exit import clean_exit

_DATA = "bod_keras.data.commands"
_CONSOLE = "bod_keras.commands.console"
# Module of a command, and whether it needs Keras from the start.
COMMANDS = {
    "init": (f"{_CONSOLE}.init", False),
    "train": (f"{_CONSOLE}.train", True),
    "evaluate": (f"{_CONSOLE}.evaluate", True),
    "compare": ("bod_keras.compare", True),
    "embed": (f"{_CONSOLE}.embed", True),
    "search": (f"{_CONSOLE}.search", False),
    "explore": (f"{_CONSOLE}.explore", False),
    "export": ("bod_keras.weights.__main__", True),
    "verify": (f"{_DATA}.verify", False),
    "shards": (f"{_DATA}.shards", False),
    "serve": (f"{_DATA}.serve", False),
}
_HELP = {"--help", "-h", "--helpshort", "--helpfull"}


def main(argv: Sequence[str] | None = None, name: str | None = None) -> None:
    """Hand the arguments after a command's name to the command.

    Args:
        argv: the command's name and its arguments; None for those of this process.
        name: what messages call the command; None for ``bod-keras COMMAND``.

    Raises:
        SystemExit: the command has failed.
    """
    with clean_exit():
        _main(list(sys.argv[1:] if argv is None else argv), name)


def _main(argv, name):
    if not argv or argv[0] in _HELP:
        print(__doc__.strip())
        return
    if argv[0] == "--version":
        from bod_keras.version import __version__

        print(__version__)
        return
    command = argv.pop(0)
    if command not in COMMANDS:
        near = nearest(command, COMMANDS)
        hint = f" Did you mean {near}?" if near else ""
        sys.exit(
            f"bod-keras: the command must be one of {', '.join(COMMANDS)}. Received: {command!r}.{hint}"
        )
    name = name or f"bod-keras {command}"
    # The start-up chatter of TensorFlow, and OpenCV's line for each file that it cannot open.
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    os.environ.setdefault("OPENCV_LOG_LEVEL", "ERROR")
    for stream in (sys.stdout, sys.stderr):  # names of files that are not UTF-8
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")
    module, needs_keras = COMMANDS[command]
    if _HELP & set(argv):
        os.environ["BOD_KERAS_READER"] = "1"  # without Keras it is there at once
    elif needs_keras:
        try:
            with_keras()
        except ImportError as error:
            if error.name:  # no word of ours about what to install
                raise
            sys.exit(f"{name}: {error}")
    importlib.import_module(module).main(argv, name)
