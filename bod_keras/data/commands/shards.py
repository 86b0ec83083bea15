"""Write videos as TFRecord shards of JPEG frames, from which training reads many times faster.

python -m bod_keras.data shards --source=/path/to/videos --output=/path/to/shards

The source is what --config.data.source of train.py takes: a folder, a list or CSV file of video
files or of folders of numbered images. The output takes its place. When the command is stopped,
the same command goes on where it was. docs/shards.md describes the files.
"""

import argparse
import os
import sys

from tqdm import tqdm

from bod_keras.data.catalog import read_catalog
from bod_keras.data.frame_folders import find_frame_folders
from bod_keras.data.record import Record
from bod_keras.data.shard_writer import ShardSettings
from bod_keras.data.shards import write_shards

_NAMED = 20  # skipped videos that are printed; the manifest names all


def main(argv: list[str]) -> None:
    """Parse the arguments, write the shards, say what came of it."""
    arguments = _parser().parse_args(argv)
    # The start-up chatter of TensorFlow in each worker.
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    try:
        manifest = _write(arguments)
    except (ValueError, OSError) as error:
        sys.exit(f"shards: {error}")
    except KeyboardInterrupt:
        sys.exit("shards: stopped. The same command goes on where it was.")
    totals = manifest["totals"]
    print(
        f"{totals['videos']} videos, {totals['frames']} frames, {len(manifest['shards'])} shards, "
        f"{totals['bytes'] / 2**20:.1f} MiB in {arguments.output}"
    )
    if manifest["skipped"]:
        print(f"{len(manifest['skipped'])} videos were skipped:")
    for video in manifest["skipped"][:_NAMED]:
        print(f"  {video['source']}: {video['reason']}")
    if len(manifest["skipped"]) > _NAMED:
        print(f"  ... all are named in {os.path.join(arguments.output, 'manifest.json')}")
    if not manifest["videos"]:
        sys.exit("shards: not one video could be read.")


def _write(arguments: argparse.Namespace) -> dict:
    settings = ShardSettings(
        short_side=arguments.short_side,
        quality=arguments.quality,
        chunk=arguments.chunk,
        shard_mb=arguments.shard_mb,
        fps=arguments.fps,
    )
    if arguments.kind == "frames":
        records = _frame_folders(arguments.source)
    else:
        records = read_catalog(arguments.source, root=arguments.root, split=arguments.split)
    bars: dict[str, tqdm] = {}

    def show(what: str, done: int, total: int) -> None:
        if what not in bars:
            for bar in bars.values():
                bar.close()
            # What an earlier run wrote counts as done, but not for the rate.
            bars[what] = tqdm(total=total, initial=done, desc=what, unit_scale=True)
        bars[what].update(done - bars[what].n)

    try:
        return write_shards(
            records, arguments.output, settings, workers=arguments.workers, progress=show
        )
    finally:
        for bar in bars.values():
            bar.close()


def _frame_folders(source: str) -> list[Record]:
    names = find_frame_folders(source)
    if not names:
        raise ValueError(f"There is no folder of numbered images in {source!r} or below it.")
    return [Record(os.path.join(source, name)) for name in names]


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m bod_keras.data shards",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--source", required=True, help="folder, list file or CSV file")
    parser.add_argument("--output", required=True, help="folder to write to")
    parser.add_argument("--root", help="what relative paths in a list are relative to")
    parser.add_argument("--split", help="only this split of a CSV file")
    parser.add_argument("--short_side", type=int, default=128, help="pixels (default 128)")
    parser.add_argument("--quality", type=int, default=90, help="of JPEG (default 90)")
    parser.add_argument("--chunk", type=int, default=32, help="frames of a record (default 32)")
    parser.add_argument(
        "--shard_mb", type=float, default=128.0, help="MiB of a shard, about (default 128)"
    )
    parser.add_argument("--fps", type=float, help="frames a second of folders of images")
    parser.add_argument(
        "--workers", type=int, default=os.cpu_count(), help="processes (default: one a core)"
    )
    parser.add_argument(
        "--from",
        dest="kind",
        choices=("auto", "frames"),
        default="auto",
        help="frames: folders of images, also where video files lie beside them",
    )
    return parser
