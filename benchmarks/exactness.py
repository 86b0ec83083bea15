"""Is every frame of a video file the one that was asked for? A corpus, every frame of it asked for by a seek.

    python benchmarks/exactness.py

Writes videos with PyAV, each frame stamped with its number: containers x codecs x groups of pictures and
B-frames x constant rate, variable rate, dropped frames, late start, edit list. Asks for each frame alone, in
random order, and compares its stamp, and its pixels with those of stepping through the file. OpenCV's seek to a
frame number is beside it. Exits with 1 if a frame is wrong or refused.
"""

from __future__ import annotations

import argparse
import itertools
import sys
import tempfile
import time
from pathlib import Path

import av
import cv2
import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from bod_keras.data.video import VideoError, iterate_frames, read_frames, readable_frames  # noqa: E402
from tests.stamped_videos import copy_video, read_stamp, times_of, write_video  # noqa: E402

CODECS = {
    "mp4": ("libx264", "libx265", "mpeg4", "libvpx-vp9", "libsvtav1"),
    "mov": ("libx264", "mpeg4", "mjpeg"),
    "mkv": ("libx264", "libx265", "libvpx", "mpeg2video", "ffv1"),
    "webm": ("libvpx", "libvpx-vp9", "libsvtav1"),
    "avi": ("libx264", "mpeg4", "msmpeg4", "ffv1", "mjpeg"),
    "flv": ("libx264", "flv"),
    "ts": ("libx264", "libx265", "mpeg2video"),
    "mpg": ("mpeg1video", "mpeg2video"),
}
REORDER = ("libx264", "libx265", "mpeg4", "mpeg2video", "mpeg1video")
FIXED_RATE = ("avi", "mpg")  # containers without times of their own


def check(path: str) -> dict:
    """Ask for every frame of a file; count those that are wrong, refused, and wrong by OpenCV's seek."""
    steps = list(iterate_frames(path))
    numbers = [read_stamp(frame) for frame in steps]
    found = {"frames": len(steps), "wrong": 0, "refused": 0, "opencv": 0}
    found["wrong"] += numbers != list(range(numbers[0], numbers[0] + len(numbers)))
    found["wrong"] += readable_frames(path) != len(steps)
    capture, started = cv2.VideoCapture(path, cv2.CAP_FFMPEG), time.perf_counter()
    order = np.random.default_rng(0).permutation(len(steps)).tolist()
    for number in order:
        try:
            found["wrong"] += not np.array_equal(read_frames(path, [number])[0], steps[number])
        except VideoError:
            found["refused"] += 1
    found["ms"] = 1000 * (time.perf_counter() - started)
    for number in order:
        capture.set(cv2.CAP_PROP_POS_FRAMES, number)
        arrived, frame = capture.read()
        found["opencv"] += not arrived or read_stamp(frame) != numbers[number]
    return found


def main() -> None:
    argparse.ArgumentParser(description=__doc__.partition("\n")[0]).parse_args()
    total = 0
    print("| container | codec | files | frames asked | wrong | refused | ms | wrong by OpenCV |")
    print("|---|---|---|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as folder:
        for container, codec in ((c, k) for c in CODECS for k in CODECS[c]):
            kinds = (
                ("constant",)
                if container in FIXED_RATE
                else ("constant", "jitter", "dropped", "late")
            )
            paths = []
            for gop, b_frames in itertools.product(
                (5, 12, 250), (0, 2) if codec in REORDER else (0,)
            ):
                for kind in kinds:
                    path = Path(folder, f"{codec}-{gop}-{b_frames}-{kind}.{container}")
                    paths.append(write_video(path, codec, times_of(kind), gop, b_frames))
                if container in ("mp4", "mov"):
                    cut = path.with_stem(path.stem + "-cut")
                    paths.append(copy_video(paths[-len(kinds)], cut, shift=-8))
            found = [check(path) for path in paths]
            sums = {key: sum(one[key] for one in found) for key in found[0]}
            total += sums["wrong"] + sums["refused"]
            name = av.Codec(codec, "w").canonical_name
            row = [container, name, len(paths), *(sums[k] for k in ("frames", "wrong", "refused"))]
            row += [f"{sums['ms'] / sums['frames']:.1f}", sums["opencv"]]
            print("|", *(f"{cell} |" for cell in row), flush=True)
    sys.exit(f"{total} frames are wrong or refused" if total else 0)


if __name__ == "__main__":
    main()
