"""Time from the command to the end of the first training step of the demo, by stages, on the current backend.

    python benchmarks/start_up.py                              # TensorFlow
    KERAS_BACKEND=torch python benchmarks/start_up.py          # or jax
    python benchmarks/start_up.py --runs=5 --config=configs/demo.py:plain

`train.py` runs in a process of its own, into a folder that is thrown away, and ends after its first step. The
first of the runs, which writes the built-in videos and fills caches, does not count. The stages are

* packages: Python, Keras and its backend, this package;
* set-up: the model, the list of videos, workers, the batch that the monitors use;
* first step: reading, tracing, compiling, and the step.

How to read it: the median over the runs in seconds; beside it the processor's seconds of the process, which
other programs disturb less.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
STAGES = ("packages", "set-up", "first step")


def main():
    parser = argparse.ArgumentParser(description="From the command to the first training step.")
    add = parser.add_argument
    add("--runs", type=int, default=3, help="runs that count (default: %(default)s)")
    add("--config", default="configs/demo.py:bod", help="of train.py (default: %(default)s)")
    args = parser.parse_args()
    if args.runs < 1:
        parser.error("--runs must be at least 1")
    with tempfile.TemporaryDirectory() as folder:
        runs = [run(args.config, Path(folder) / str(i)) for i in range(args.runs + 1)][1:]
    print(f"{os.environ.get('KERAS_BACKEND', 'tensorflow')}, {args.config}, {args.runs} runs\n")
    rows = [
        (stage, *(statistics.median(r[i][j] for r in runs) for j in range(2)))
        for i, stage in enumerate(STAGES)
    ]
    rows.append(
        ("together", *(statistics.median(sum(s[j] for s in r) for r in runs) for j in range(2)))
    )
    for stage, wall, cpu in rows:
        print(f"{stage:<10}  {wall:5.1f} s  {cpu:5.1f} s of processor")


def run(config, folder):
    """``[wall, processor]`` seconds of each stage."""
    marks = folder.with_suffix(".json")
    command = [sys.executable, "train.py", f"--config={config}", f"--config.output={folder}"]
    command.append("--config.callbacks=('benchmarks.start_up_marks:Marks',)")
    environment = {"KERAS_BACKEND": "tensorflow", **os.environ}
    environment |= {"START_UP_MARKS": str(marks), "START_UP_BEGAN": repr(time.time())}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
    if not marks.exists():
        sys.exit(f"train.py took no step:\n{done.stderr[-2000:]}")
    times = [[0.0, 0.0], *json.loads(marks.read_text())]
    return [[a - b for a, b in zip(after, before)] for before, after in zip(times, times[1:])]


if __name__ == "__main__":
    main()
