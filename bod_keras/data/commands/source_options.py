"""What the commands share: options that say which videos are meant."""

from __future__ import annotations

import argparse

from bod_keras.data.datasets import DATASETS, Catalog, read_dataset


def add_source_options(parser: argparse.ArgumentParser) -> None:
    """Add --dataset, --source, --root, --annotations, --split and --fold to a command.

    Args:
        parser: of the command.

    Example:
        >>> import argparse
        >>> from bod_keras.data.commands.source_options import add_source_options
        >>> parser = argparse.ArgumentParser()
        >>> add_source_options(parser)
        >>> parser.parse_args(["--source=videos"]).source
        'videos'
    """
    add = parser.add_argument
    add("--dataset", metavar="NAME", help=f"a data set with its own files: {', '.join(DATASETS)}")
    add("--source", help="without --dataset: a folder, a list or a CSV file of videos")
    add("--root", help="folder of the videos; of a list's relative paths")
    add("--annotations", help="folder of the official annotation files (--root)")
    add("--split", help="one split (of a data set: training and evaluation; else all)")
    add("--fold", type=int, help="number of the official fold (1)")


def check_source_options(parser: argparse.ArgumentParser, options: argparse.Namespace) -> None:
    """End the command with a message unless the options name videos in one way.

    Args:
        parser: of the command.
        options: what it has parsed.

    Example:
        >>> import argparse
        >>> from bod_keras.data.commands.source_options import add_source_options, check_source_options
        >>> parser = argparse.ArgumentParser()
        >>> add_source_options(parser)
        >>> check_source_options(parser, parser.parse_args(["--source=videos"]))
    """
    if bool(options.dataset) == bool(options.source):
        parser.error("give one of --dataset and --source, such as --source=/path/to/videos")
    if options.dataset and not options.root:
        parser.error("--root is missing: the folder of the videos")
    for name in ("annotations", "fold"):
        if options.source and getattr(options, name) is not None:
            parser.error(f"--{name} is of a --dataset, and --source has none")


def read_named_dataset(options: argparse.Namespace) -> Catalog:
    """Read the data set that --dataset names.

    Args:
        options: checked ones, with a `dataset`.

    Returns:
        Its `Catalog`.

    Raises:
        FileNotFoundError, ValueError: as `read_dataset`.

    Example:
        >>> from bod_keras.data.commands.source_options import read_named_dataset
        >>> read_named_dataset(options).class_names[:1]  # doctest: +SKIP
        ['ApplyEyeMakeup']
    """
    return read_dataset(
        options.dataset,
        options.root,
        options.annotations,
        options.split,
        1 if options.fold is None else options.fold,
    )
