"""Work on data sets from the prompt: python -m bod_keras.data COMMAND --help

verify   match annotations with files, decode each file once, report what is broken
shards   write TFRecord shards of JPEG frames
serve    read and augment for other machines: input workers of the tf.data service
"""

import importlib
import os
import sys

from bod_keras.storage.clean_exit import clean_exit

COMMANDS = {
    "verify": "bod_keras.data.commands.verify",
    "shards": "bod_keras.data.commands.shards",
    "serve": "bod_keras.data.commands.serve",
}


def main(argv: list[str]) -> None:
    """Hand the arguments after the command's name to the command."""
    if not argv or argv[0] in ("-h", "--help"):
        print(__doc__.strip())
        return
    if argv[0] not in COMMANDS:
        sys.exit(
            f"python -m bod_keras.data: the command must be one of {', '.join(COMMANDS)}. "
            f"Received: {argv[0]}"
        )
    for stream in (sys.stdout, sys.stderr):  # names of files that are not UTF-8
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")
    # Processes inherit it: no line of OpenCV's for each file that it cannot open.
    os.environ.setdefault("OPENCV_LOG_LEVEL", "ERROR")
    importlib.import_module(COMMANDS[argv[0]]).main(argv[1:])


if __name__ == "__main__":
    with clean_exit():
        main(sys.argv[1:])
