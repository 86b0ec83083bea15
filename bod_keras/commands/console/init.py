"""Write a config for your own videos, a small Python file to start from and to change.

bod-keras init /path/to/videos
bod-keras init train.csv --output=birds.py

The videos are a folder, a folder a class, or a list. Everything that the file does not set is as in
configs/videos.py and configs/base.py; `bod-keras train --help` lists every key.
"""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Sequence
from pathlib import Path

from bod_keras.argument_parser import argument_parser
from bod_keras.commands.run_command import run_command

_CONFIG = '''"""Pre-training on {about}.

bod-keras train --config={file}
bod-keras train --config={file} --config.epochs=50 --config.clips.batch_size=32
"""

from bod_keras.configs import videos


def get_config(arguments="small"):
    # small: a CNN of single frames on 64 x 64 pixels, which runs anywhere; "" is R3D-18 on 112 x 112.
    config = videos.get_config(arguments)
    config.name = {name}  # the run's folder is runs/NAME-seed0
    config.data.source = {source}
    config.epochs = 20
    config.clips.frames = 8
    config.clips.stride = {stride}  # 2: every other frame. A clip should be about as long as a movement
    config.clips.batch_size = {batch}
    return config
'''


def main(argv: Sequence[str], name: str = "bod-keras init") -> None:
    """Run the command.

    Args:
        argv: its arguments.
        name: what messages call it.
    """
    parser = argument_parser(name, __doc__)
    parser.add_argument("videos", metavar="VIDEOS", help="a folder, a list or a CSV file of videos")
    parser.add_argument("--output", default="config.py", help="the file to write (config.py)")
    options = parser.parse_args(argv)
    print(run_command(name, lambda: write_config(options.videos, options.output)))


def write_config(videos: str, output: str | os.PathLike) -> str:
    """Write a config that trains on videos, and return what to say of it.

    Args:
        videos: what `read_source` takes.
        output: the file to write; it must not be there yet.

    Returns:
        A few lines: what was found, and the command that trains.

    Raises:
        FileNotFoundError: there are no such videos.
        UserError: the file is there already, or the videos cannot be understood.
    """
    from bod_keras.data import read_source
    from bod_keras.errors import UserError
    from bod_keras.storage.atomic_file import atomic_file
    from bod_keras.storage.remote import is_remote

    output = Path(output)
    if output.suffix != ".py":
        raise UserError(f"--output must be a Python file, such as config.py. Received: {output}")
    if os.path.lexists(output):
        raise UserError(f"{output} is there already. Choose another --output, or move it away.")
    catalog = read_source(videos)
    source = videos if is_remote(videos) else os.path.abspath(videos)
    summary = catalog.summary()
    stem = re.sub(r"\W+", "-", Path(videos).stem, flags=re.ASCII).strip("-") or "videos"
    text = _CONFIG.format(
        about=f"your own videos: {summary}".replace("\\", "/").replace('"', "'"),
        file=shlex.quote(str(output)),
        name=ascii(stem),
        source=ascii(source),
        stride=2,
        batch=max(2, min(16, len({record.path for record in catalog.records}))),
    )
    with atomic_file(output) as part:
        part.write_text(text, encoding="utf-8")
    command = f"bod-keras train --config={shlex.quote(str(output))}"
    return f"{summary}.\n{output} is written. Look at it, then:\n  {command}"
