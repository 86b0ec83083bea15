"""Write a page to look through embedded videos: loops, neighbors by appearance and by motion, a map.

bod-keras explore library --output=page

Open page/index.html in any browser: it needs no network and no server. Click a video, or move with Tab and the
arrow keys and press Enter, to see what looks like it and what moves like it. The same command continues when it
was stopped.

bod-keras explore library --serve

serves the page of a large library on this machine alone, at the address it prints, until Ctrl-C.
"""

from __future__ import annotations

import contextlib
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
    add("--output", help="folder of the page (page)")
    add("--most", type=int, help="rows on the page, evenly spaced (10000)")
    add("--workers", type=int, help="processes that read; 0 reads in this one (2)")
    add("--serve", action="store_true", help="serve all rows at 127.0.0.1, write nothing")
    add("--port", type=int, help="with --serve: its port; 0 takes a free one (0)")
    options = parser.parse_args(argv)
    written = {key: getattr(options, key) for key in ("output", "most", "workers")}
    written = {key: value for key, value in written.items() if value is not None}
    if options.serve and written:
        parser.error(f"--serve writes no page. Leave out --{', --'.join(written)}.")
    if options.port is not None and not options.serve:
        parser.error("--port is of --serve. Add --serve.")
    if options.serve:
        run_command(name, lambda: _serve(options.library, options.port or 0))
    else:
        run_command(name, lambda: _explore(options.library, {"output": "page", **written}))


def _explore(library: str, options: dict) -> None:
    from bod_keras.library.page import write_page

    page, unread = write_page(library, **options)
    print(f"{page}, and its pictures in {page.parent / 'loops'}: open it in a browser.")
    if unread:
        print(f"{len(unread):,} videos have no picture, as they cannot be read; the first:")
        for path, reason in list(unread.items())[:5]:
            print(f"  {shown(path)}: {reason}")


def _serve(library: str, port: int) -> None:
    from bod_keras.library.page_server import PageServer

    with PageServer(library, port) as server, contextlib.suppress(KeyboardInterrupt):
        print(f"{server.url} shows {len(server.library):,} rows. Ctrl-C ends it.", flush=True)
        server.serve_forever()
