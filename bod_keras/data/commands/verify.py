"""bod-keras verify: which videos of a data set are missing, broken, short or duplicates."""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from pathlib import Path

from bod_keras.data.commands.source_options import (
    add_source_options,
    check_source_options,
    read_named_dataset,
)
from bod_keras.data.datasets import read_source
from bod_keras.data.datasets.blocklist import write_blocklist
from bod_keras.data.shards.shard_manifest import is_shard_folder
from bod_keras.data.verify import KINDS, verify
from bod_keras.data.video.video_file import VideoError
from bod_keras.errors import UserError
from bod_keras.storage.atomic_file import atomic_file, check_target
from bod_keras.storage.remote_error import without_secrets
from bod_keras.version import __version__

_NAMED = 5  # files that are named at the prompt for each kind; the report has all


def main(argv: list[str], name: str = "python -m bod_keras.data verify") -> None:
    """Run the command."""
    options = _parse(argv, name)
    try:
        _verify(options)
    except KeyboardInterrupt:
        sys.exit("\nStopped. The same command continues from here.")
    except (UserError, VideoError, OSError) as error:
        sys.exit(f"{name}: {error}")


def _parse(argv: list[str], name: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog=name,
        description="Match annotations with files, open each file once, report what is wrong with it.",
        epilog="A second run of a command that was stopped continues where it was.",
    )
    add_source_options(parser)
    depth = parser.add_mutually_exclusive_group()
    depth.add_argument("--quick", action="store_true", help="header and last frames (default)")
    depth.add_argument(
        "--full", action="store_true", help="every frame; finds variable frame rates"
    )
    parser.add_argument("--min-frames", type=int, default=16, help="fewer are too short (16)")
    parser.add_argument(
        "--workers", type=int, default=os.cpu_count(), help="processes (one a core)"
    )
    parser.add_argument(
        "--timeout", type=float, default=60, help="seconds for a file, and one more a MiB (60)"
    )
    parser.add_argument("--report", help="JSON file (verify-NAME.json)")
    parser.add_argument("--write-blocklist", metavar="FILE", help="for --config.data.blocklist")
    parser.add_argument(
        "--block",
        default="unreadable,truncated",
        help=f"kinds in the blocklist, of {', '.join(KINDS)} (unreadable,truncated)",
    )
    options = parser.parse_args(argv)
    check_source_options(parser, options)
    options.block = options.block.split(",")
    unknown = sorted(set(options.block) - set(KINDS))
    if unknown:
        parser.error(f"--block takes {', '.join(KINDS)}, with commas between, not {unknown[0]!r}")
    return options


def _verify(options: argparse.Namespace) -> None:
    name = options.dataset or Path(options.source).stem
    report = Path(options.report or f"verify-{name}.json")
    for target in filter(None, (report, options.write_blocklist)):
        check_target(target)  # before hours of work
    if options.dataset:
        catalog = read_named_dataset(options)
        root = options.root
    elif is_shard_folder(options.source):
        raise UserError(
            f"{options.source} holds shards, whose records are verified each time that they are read. Give "
            "the videos that they were written from."
        )
    else:
        catalog = read_source(options.source, options.root, options.split)
        source = Path(options.source)
        root = options.root or (source if source.is_dir() else source.parent)
    depth = "every frame" if options.full else "headers and last frames"
    print(f"{name}: {catalog.summary()}.")
    print(f"{name}: reads {depth}, in {options.workers} processes.", flush=True)
    started = time.monotonic()
    journal = report.with_name(report.name + ".journal")
    found = verify(
        catalog,
        full=options.full,
        workers=options.workers,
        timeout=options.timeout,
        min_frames=options.min_frames,
        journal=journal,
    )
    settings = {k: v for k, v in vars(options).items() if k not in ("quick", "report")}
    found = {"bod_keras": __version__, "seconds": time.monotonic() - started, **settings, **found}
    with atomic_file(report) as part:
        part.write_text(json.dumps(found, indent=1))
    journal.unlink()
    _print(found, options.min_frames)
    print(f"\nAll of it is in {report}.")
    if options.write_blocklist:
        blocked = {
            path: "; ".join(reasons[kind] for kind in options.block if kind in reasons)
            for path, reasons in found["problems"].items()
            if set(reasons) & set(options.block)
        }
        write_blocklist(options.write_blocklist, blocked, root)
        print(f"{options.write_blocklist} lists {len(blocked)} ({', '.join(options.block)}).")


def _print(found: dict, min_frames: int) -> None:
    notes = {"too short": f"fewer than {min_frames} frames"}
    for kind, count in found["counts"].items():
        note = f"  ({notes[kind]})" if notes.get(kind) else ""
        print(f"{kind:14}{'not looked for, see --full' if count is None else f'{count:9,}'}{note}")
    named = {"missing": dict.fromkeys(found["missing"], "")}
    for kind in KINDS:
        named[kind] = {p: f": {r[kind]}" for p, r in found["problems"].items() if kind in r}
    for kind, files in named.items():
        if files:
            more = f", {_NAMED} of {len(files)}" if len(files) > _NAMED else ""
            print(f"\n{kind}{more}:")
            for path, reason in list(files.items())[:_NAMED]:
                line = f"  {without_secrets(path)}{reason}"
                print(line.encode(errors="backslashreplace").decode())  # names that are no UTF-8
