"""Write a page to look through embedded videos: loops, neighbors by appearance and by motion, a map.

bod-keras explore library --output=page

Open page/index.html in any browser: it needs no network and no server. Click a video, or move with Tab and the
arrow keys and press Enter, to see what looks like it and what moves like it. The same command continues when it
was stopped.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from bod_keras.argument_parser import argument_parser
from bod_keras.commands.console.embed import shown
from bod_keras.commands.run_command import run_command


def main(argv: Sequence[str], name: str = "bod-keras explore") -> None:
    """Run the command.

    Args:
        argv: its arguments.
        name: what messages call it.
    """
    parser = argument_parser(name, __doc__)
    add = parser.add_argument
    add("library", metavar="LIBRARY", help="what bod-keras embed wrote")
    add("--output", default="page", help="folder of the page (page)")
    add("--most", type=int, default=10_000, help="rows on the page, evenly spaced (10000)")
    add("--workers", type=int, default=2, help="processes that read; 0 reads in this one (2)")
    options = parser.parse_args(argv)
    run_command(name, lambda: _explore(options))


def _explore(options: argparse.Namespace) -> None:
    from bod_keras.library.page import write_page

    page, unread = write_page(options.library, options.output, options.most, options.workers)
    print(f"{page}, and its pictures in {page.parent / 'loops'}: open it in a browser.")
    if unread:
        print(f"{len(unread):,} videos have no picture, as they cannot be read; the first:")
        for path, reason in list(unread.items())[:5]:
            print(f"  {shown(path)}: {reason}")
