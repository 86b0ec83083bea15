"""Embed videos: one file with what is shown in each, and how it moves, as vectors.

bod-keras embed runs/videos-seed0 VIDEOS --output=library
bod-keras embed runs/videos-seed0 VIDEOS --output=library --every=2s
bod-keras embed RUN UCF-101 --dataset=ucf101 --annotations=ucfTrainTestlist --output=ucf101

RUN is the folder of a finished run. VIDEOS is a folder, a list, a CSV file, one video or shards, local or
remote. The library is a Parquet file, a row a video (or window): path, start, end, label, pooled, static
(appearance) and dynamic (motion). The same command continues when it was stopped, and adds what is new
(docs/library.md).
"""

from __future__ import annotations

import argparse
import re
import time
from collections.abc import Sequence

from bod_keras.argument_parser import argument_parser
from bod_keras.commands.run_command import run_command
from bod_keras.data.record import Catalog
from bod_keras.errors import UserError

_NAMED = 10  # skipped files that are printed; the library names all


def main(argv: Sequence[str], name: str = "bod-keras embed") -> None:
    """Run the command.

    Args:
        argv: its arguments.
        name: what messages call it.
    """
    options = _parse(argv, name)
    try:
        run_command(name, lambda: _embed(options))
    except KeyboardInterrupt:
        raise SystemExit("\nStopped. The same command continues from here.") from None


def _embed(options: argparse.Namespace) -> None:
    from bod_keras.library.embedding import embed
    from bod_keras.storage.remote_error import without_secrets

    every = None if options.every is None else seconds("every", options.every)
    catalog = _catalog(options)
    print(f"{without_secrets(options.videos)}: {catalog.summary()}.", flush=True)
    started = time.monotonic()
    done = embed(
        options.run,
        catalog,
        options.output,
        every,
        [text for text in options.format.split(",") if text],
        options.workers,
        options.timeout,
    )
    spent = time.monotonic() - started
    for file in done.files:
        print(f"{file}: {done.rows:,} rows, {file.stat().st_size / 2**20:,.1f} MiB")
    known = f", {done.known:,} were there already" if done.known else ""
    print(f"{done.new:,} videos embedded in {spent:,.0f} s{known}")
    if done.skipped:
        more = f", {_NAMED} of {len(done.skipped):,}" if len(done.skipped) > _NAMED else ""
        print(f"{len(done.skipped):,} could not be read{more}:")
        for path, reason in list(done.skipped.items())[:_NAMED]:
            print(f"  {shown(without_secrets(path))}: {reason}")


def shown(path: str) -> str:
    """Return a file's name for one line: without line breaks, and as text of any terminal."""
    text = "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in path)
    return text.encode(errors="backslashreplace").decode()


def seconds(flag: str, text: str) -> float:
    """Return a duration such as "2s", "0.5" or "1.5 s" as seconds.

    Raises:
        UserError: it is none.
    """
    if not (match := re.fullmatch(r"(\d+(?:\.\d*)?|\.\d+) ?s?", text.strip())):
        raise UserError(f"--{flag} must be a number of seconds, such as 2s. Received: {text!r}")
    return float(match[1])


def _catalog(options: argparse.Namespace) -> Catalog:
    from bod_keras.data import read_dataset, read_source

    if options.dataset:
        return read_dataset(
            options.dataset, options.videos, options.annotations, options.split, options.fold
        )
    return read_source(options.videos, options.root, options.split)


def _parse(argv: Sequence[str], name: str) -> argparse.Namespace:
    parser = argument_parser(name, __doc__)
    add = parser.add_argument
    add("run", metavar="RUN", help="folder of a finished run")
    add("videos", metavar="VIDEOS", help="a folder, a list, a CSV file or one video")
    add("--output", required=True, help="the library; .npz and .csv write a copy beside it")
    add(
        "--every",
        metavar="SECONDS",
        help="a row for each window of this length, such as 2s, not one a video",
    )
    add("--format", default="", help="further copies: npz, csv, or both with a comma between")
    add("--dataset", metavar="NAME", help="VIDEOS is the folder of a data set of docs/data.md")
    add("--annotations", help="folder of its official annotation files (VIDEOS)")
    add("--split", help="one split of the data set, list or shards (all)")
    add("--fold", type=int, default=1, help="number of its official fold (1)")
    add("--root", help="folder of a list's relative paths (that of the list)")
    add("--workers", type=int, default=2, help="processes that read; 0 reads in this one (2)")
    add("--timeout", type=float, default=120, help="seconds for a clip (120)")
    add("--traceback", action="store_true", help=argparse.SUPPRESS)
    return parser.parse_args(argv)
