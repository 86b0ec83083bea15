"""Write videos as TFRecord shards of JPEG frames, from which training reads many times faster.

bod-keras shards --source=/path/to/videos --output=/path/to/shards
bod-keras shards --dataset=ucf101 --root=/path/to/UCF-101 --output=/path/to/shards

The source is what --config.data.source of bod-keras train takes: a folder, a list or CSV file of video
files or of folders of numbered images. The output takes its place. When the command is stopped,
the same command continues where it was. docs/shards.md describes the files.
"""

import argparse
import os
import sys

from tqdm import tqdm

from bod_keras.argument_parser import argument_parser
from bod_keras.data.commands.source_options import (
    add_source_options,
    check_source_options,
    read_named_dataset,
)
from bod_keras.data.datasets import Catalog, read_source
from bod_keras.data.datasets.folders import find_videos
from bod_keras.data.record import Record
from bod_keras.data.shards.shard_writer import ShardSettings
from bod_keras.data.shards.shards import write_shards
from bod_keras.data.video.video_file import VideoError
from bod_keras.errors import UserError
from bod_keras.storage.remote_error import without_secrets

_NAMED = 20  # skipped videos that are printed; the manifest names all


def main(argv: list[str], name: str = "python -m bod_keras.data shards") -> None:
    """Parse the arguments, write the shards, say what came of it."""
    options = _parse(argv, name)
    try:
        manifest = _write(options)
    except KeyboardInterrupt:
        sys.exit("\nStopped. The same command continues from here.")
    except (UserError, VideoError, OSError) as error:
        sys.exit(f"{name}: {error}")
    totals, skipped = manifest["totals"], manifest["skipped"]
    print(
        f"{totals['videos']} videos, {totals['frames']} frames, {len(manifest['shards'])} shards, "
        f"{totals['bytes'] / 2**20:.1f} MiB in {options.output}"
    )
    if skipped:
        more = f", {_NAMED} of {len(skipped)}" if len(skipped) > _NAMED else ""
        print(f"\nskipped{more}, all are named in {os.path.join(options.output, 'manifest.json')}:")
        for video in skipped[:_NAMED]:
            line = f"  {without_secrets(video['source'])}: {video['reason']}"
            print(line.encode(errors="backslashreplace").decode())  # names that are no UTF-8
    if not totals["videos"]:
        sys.exit(f"{name}: not one video could be read.")


def _write(options: argparse.Namespace) -> dict:
    settings = ShardSettings(
        options.short_side, options.quality, options.chunk, options.shard_mb, options.fps
    )
    catalog = _catalog(options)
    print(f"{options.dataset or options.source}: {catalog.summary()}.", flush=True)
    bar = None

    def show(done: int, total: int) -> None:
        nonlocal bar
        if bar is None:
            # What an earlier run did counts as done, but not for the rate.
            bar = tqdm(total=total, initial=done, unit="video")
        bar.update(done - bar.n)

    try:
        return write_shards(
            catalog.records,
            options.output,
            settings,
            class_names=catalog.class_names,
            flip_safe=catalog.flip_safe,
            workers=options.workers,
            timeout=options.timeout,
            progress=show,
        )
    finally:
        if bar is not None:
            bar.close()


def _catalog(options: argparse.Namespace) -> Catalog:
    if options.dataset:
        return read_named_dataset(options)
    if options.kind == "auto":
        return read_source(options.source, options.root, options.split)
    names = [
        name
        for name in find_videos(options.source, frame_folders=True)
        if os.path.isdir(os.path.join(options.source, name))
    ]
    if not names:
        raise UserError(f"There is no folder of numbered images in {options.source!r} or below it.")
    return Catalog([Record(os.path.join(options.source, name)) for name in names])


def _parse(argv: list[str], name: str) -> argparse.Namespace:
    parser = argument_parser(name, __doc__)
    add = parser.add_argument
    add_source_options(parser)
    add("--output", required=True, help="folder to write to")
    add(
        "--from",
        dest="kind",
        choices=("auto", "frames"),
        default="auto",
        help="frames: take folders of images where video files lie beside them (auto)",
    )
    add("--fps", type=float, help="frames a second of folders of images")
    add("--short-side", type=int, default=128, help="pixels of height or width (128)")
    add("--quality", type=int, default=90, help="of the JPEG images (90)")
    add("--chunk", type=int, default=32, help="frames of a record (32)")
    add("--shard-mb", type=float, default=128, help="MiB of a shard, at most (128)")
    add("--workers", type=int, default=os.cpu_count(), help="processes (one a core)")
    add("--timeout", type=float, default=300, help="seconds for a video, and 10 more a MiB (300)")
    options = parser.parse_args(argv)
    check_source_options(parser, options)
    return options
