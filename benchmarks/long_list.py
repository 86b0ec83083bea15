"""Seconds and memory from a list of a million videos to the first batch of training.

    python benchmarks/long_list.py                        # 1,000,000 lines, 200 classes, two workers

The videos are links to one file in folders that are links to one folder, so that every line names a file of its
own. Prints for each stage its seconds by the clock and of processor time, and how much memory this process and
each worker hold: proportional and private. Keras is not imported: a command adds its import and compiled step.
"""

from __future__ import annotations

import argparse
import os
import resource
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
os.environ |= {"BOD_KERAS_READER": "1", "TF_CPP_MIN_LOG_LEVEL": "3"}

from bod_keras.data import ClipDataset, read_source  # noqa: E402
from tests.leaks import children  # noqa: E402
from tests.stamped_videos import write_video  # noqa: E402

_FOLDER = 1000  # videos of a folder


def write_list(folder: Path, lines: int, classes: int) -> Path:
    """Write the list, and the links that it names."""
    store = folder / "store"
    store.mkdir()
    write_video(store / "0.mp4")
    for number in range(1, min(lines, _FOLDER)):
        os.link(store / "0.mp4", store / f"{number}.mp4")
    for number in range(-(-lines // _FOLDER)):
        (folder / f"d{number}").symlink_to(store)
    path = folder / "list.csv"
    with open(path, "w") as stream:
        stream.write("path,label\n")
        for n in range(lines):
            stream.write(f"d{n // _FOLDER}/{n % _FOLDER}.mp4,class {n % classes}\n")
    return path


def memory(pid: int | str) -> str:
    """The proportional and the private memory of a process, in MB."""
    kinds = dict.fromkeys(("Pss", "Private_Clean", "Private_Dirty"), 0)
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
        name, _, rest = line.partition(":")
        if name in kinds:
            kinds[name] = int(rest.split()[0])
    private = kinds["Private_Clean"] + kinds["Private_Dirty"]
    return f"{kinds['Pss'] / 1000:.0f} MB, {private / 1000:.0f} MB its own"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--lines", type=int, default=10**6)
    parser.add_argument("--classes", type=int, default=200)
    parser.add_argument("--workers", type=int, default=2)
    options = parser.parse_args()
    begun = [0.0, 0.0]

    def stage(name: str) -> None:
        usage = resource.getrusage(resource.RUSAGE_SELF)
        now = [time.monotonic(), usage.ru_utime + usage.ru_stime]
        clock, processor = (new - old for new, old in zip(now, begun))
        begun[:] = now
        if name:
            print(f"| {name} | {clock:.1f} | {processor:.1f} |", flush=True)

    with tempfile.TemporaryDirectory(prefix="long-list-") as folder:
        path = write_list(Path(folder), options.lines, options.classes)
        print("| stage | seconds | of processor time |\n|---|---|---|")
        stage("")
        catalog = read_source(path)
        stage(f"read the list ({catalog.summary()})")
        dataset = ClipDataset(
            catalog.records, frames=8, size=64, batch_size=32, workers=options.workers
        )
        stage("make the data set")
        stream = dataset.training_numpy()
        next(stream)
        stage("first batch")
        print(f"this process: {memory('self')}")
        for pid in children():
            print(f"a worker: {memory(pid)}")
        stream.close()


if __name__ == "__main__":
    main()
