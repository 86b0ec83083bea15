"""From a bare folder of real videos to a search by motion, command by command, as a user types them.

    python tools/tour.py                     fetch a few real videos (pip and apt-get), then all below
    python tools/tour.py --videos=FOLDER     with your own videos

It runs bod-keras init, train, embed, search and explore on two cores in under six minutes, prints each command
and what it prints, and draws the search by motion as an animated picture, tour.gif.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import shlex
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

_FETCHED = "data/real"
_SIDE, _FRAMES, _MILLISECONDS = 112, 12, 110
_MOST_BYTES = 1_500_000
# Clips of the fetched packages without a license to show them elsewhere: searched, and not in the picture.
_NOT_SHOWN = ("Megamind", "carphone")


def say(arguments: list[str], program: str = "bod-keras") -> None:
    """Run a command of the package and show it; stop if it fails."""
    print(f"\n$ {program} {shlex.join(arguments)}", flush=True)
    code = "import sys; from bod_keras.commands.console.main import main; main(sys.argv[1:])"
    command = [sys.executable, "-c", code, *arguments]
    if program != "bod-keras":
        command = [sys.executable, str(ROOT / program.split()[-1]), *arguments]
    environment = {"TF_CPP_MIN_LOG_LEVEL": "3", **os.environ, "PYTHONPATH": str(ROOT)}
    # A bar is for a screen: of a command's lines those that stay are shown.
    done = subprocess.run(
        command,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
    )
    lines = [line.rsplit("\r", 1)[-1].rstrip() for line in done.stdout.splitlines()]
    print("\n".join(line for line in lines if line and "%|" not in line), flush=True)
    if done.returncode:
        sys.exit(f"{program} {arguments[0]} failed with code {done.returncode}")


def choose_queries(library, count: int) -> list[int]:
    """Rows of different files that have the most similar motion in another file, near duplicates aside."""
    import numpy as np

    motion, look = library.unit_vectors("dynamic"), library.unit_vectors("static")
    files = np.array(library.paths)
    shown = np.array([not Path(path).name.startswith(_NOT_SHOWN) for path in library.paths])
    cosine = np.where(look @ look.T > 0.995, -1.0, motion @ motion.T)
    cosine[files[:, None] == files] = -1.0
    cosine[:, ~shown] = -1.0
    chosen: list[int] = []
    for row in np.argsort(-cosine.max(axis=1)):
        if shown[row] and files[row] not in files[chosen]:
            chosen.append(int(row))
        if len(chosen) == count:
            break
    return chosen


def draw(library, queries: list[int], found: list[list[dict]], gif: Path) -> None:
    """Write the animated picture: a line a query, the query on the left, then what moves like it."""
    import numpy as np
    from PIL import Image, ImageDraw  # comes with matplotlib

    from bod_keras.data import VideoStore, augmentation

    store, square = VideoStore(), augmentation("none", _SIDE)

    def strip(path, start, end):
        times = store.times(path)
        end = min(end, start + 2.0)
        first, last = np.searchsorted(times, [start, max(start, end - 1e-6)])
        rows = np.linspace(first, max(first, min(last, len(times) - 1)), _FRAMES).astype(int)
        frames = store.frames(path, rows)
        return square(frames, np.random.default_rng(0), view=0)

    gap, caption = 6, 16
    across = 1 + max(map(len, found))
    size = (across * (_SIDE + gap) + 3 * gap, len(queries) * (_SIDE + caption + gap) + caption)
    pages = [Image.new("RGB", size, "white") for _ in range(_FRAMES)]

    def put(clip, column, line, text):
        x = column * (_SIDE + gap) + gap + (2 * gap if column else 0)
        y = line * (_SIDE + caption + gap) + caption
        for page, frame in zip(pages, clip):
            page.paste(Image.fromarray(frame), (x, y))
            ImageDraw.Draw(page).text((x, y + _SIDE + 2), text, fill="black")

    for page in pages:
        ImageDraw.Draw(page).text((gap, 2), "query", fill="black")
        ImageDraw.Draw(page).text((_SIDE + 4 * gap, 2), "moves like it (similarity)", fill="black")
    for line, (row, matches) in enumerate(zip(queries, found)):
        path = library.paths[row]
        clip = strip(path, float(library.starts[row]), float(library.ends[row]))
        put(clip, 0, line, _plain(Path(path).name[:18]))
        for column, match in enumerate(matches, start=1):
            clip = strip(match["path"], match["start"], match["end"])
            name = f"{Path(match['path']).name[:13]} {match['score']:.2f}"
            put(clip, column, line, _plain(name))
    for colors in (128, 64, 32):
        quantized = [page.quantize(colors) for page in pages]
        quantized[0].save(
            gif, save_all=True, append_images=quantized[1:], duration=_MILLISECONDS, loop=0
        )
        if gif.stat().st_size < _MOST_BYTES:
            break


def _plain(name: str) -> str:
    return name.encode("ascii", "replace").decode()  # the font has no other letters


def main(arguments: list[str] | None = None) -> None:
    """Run the tour."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--videos", help=f"folder of videos; without it a few are fetched into {_FETCHED}"
    )
    parser.add_argument(
        "--output", default="runs/tour", help="folder of what it leaves (runs/tour)"
    )
    parser.add_argument("--epochs", type=int, default=120, help="of the training (120)")
    options = parser.parse_args(arguments)
    videos = options.videos or _FETCHED
    if options.videos and not os.path.isdir(videos):
        sys.exit(f"tour: there is no folder {videos!r}. Give --videos a folder of video files.")
    began = time.perf_counter()
    output = Path(options.output)
    output.mkdir(parents=True, exist_ok=True)
    if not os.path.isdir(videos):
        say([videos], "python tools/fetch_real_videos.py")
    config, run, library = (
        output / "tour_config.py",
        output / "tour-seed0",
        output / "library.parquet",
    )
    config.unlink(missing_ok=True)
    say(["init", videos, f"--output={config}"])
    say(
        [
            *("train", f"--config={config}", "--config.name=tour", f"--config.output={output}"),
            f"--config.epochs={options.epochs}",
            "--config.clips.cache_mb=512",
            "--config.checkpoint.every=40",
        ]
    )
    say(["embed", str(run), videos, f"--output={library}", "--every=2s"])
    from bod_keras.library import read_library

    embedded = read_library(library)
    queries, found = choose_queries(embedded, 2), []
    if len(queries) < 2:
        sys.exit(f"tour: to search takes at least 2 video files. {videos} has {len(queries)}.")
    for row in queries:
        written = output / "found.json"
        say(
            [
                *("search", str(library), embedded.paths[row], f"--at={embedded.starts[row]:g}s"),
                *("--by=motion", "--top=40", f"--output={written}"),
            ]
        )
        matches, names = [], {embedded.paths[row]}
        for match in json.loads(written.read_text()):
            name = match["path"]
            if name not in names and not Path(name).name.startswith(_NOT_SHOWN):
                matches.append(match)
                names.add(name)
        found.append(matches[:4])
    draw(embedded, queries, found, output / "tour.gif")
    say(["explore", str(library), f"--output={output / 'page'}"])
    size = (output / "tour.gif").stat().st_size
    print(f"\n{output / 'tour.gif'}: the search by motion, {size / 1e6:.2f} MB.")
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    took, worked = time.perf_counter() - began, usage.ru_utime + usage.ru_stime
    print(f"{took:.0f} seconds in all, {worked:.0f} of a processor.")


if __name__ == "__main__":
    main()
