"""Memory, time and exactness of a large batch in pieces, beside the whole batch and Keras' accumulation; a CPU.

    python benchmarks/accumulate.py                     # 32 videos, 64 clips; minutes on 2 CPU cores
    python benchmarks/accumulate.py --batch=128 --pieces=1,4,16
    KERAS_BACKEND=jax python benchmarks/accumulate.py --encoder=frame_cnn

Plain v-SimCLR takes one update from the same videos in three ways: the whole batch at once; ``chunks=k``, the
encoder on k pieces and the loss on all; and ``gradient_accumulation_steps=k`` of Keras, k batches of 1/k of the
videos, each with its own loss. Every row comes from a process of its own.

How to read it: "negatives" are those that a clip is contrasted with. "MiB" is the peak of the resident memory
over that before the first update, tracing included (Linux). "ms" is the median time of an update (with
``--clock=cpu`` that of all cores together), and "ratio" that over the whole batch's. "cosine" and "error"
compare the encoder's update with the whole batch's: the angle, and the largest difference over the largest
entry. The encoder `vit` treats clips one by one; `frame_cnn` has batch normalization, whose statistics are
those of a piece.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras  # noqa: E402
import numpy as np  # noqa: E402

import bod_keras  # noqa: E402
from benchmarks import device, encoders, step  # noqa: E402
from bod_keras.evaluation import format_table  # noqa: E402

SHAPE = (8, 64, 64, 3)
ENCODERS = {
    "vit": lambda: bod_keras.encoders.VideoViT(SHAPE, 2, width=96, depth=4, heads=4),
    "frame_cnn": lambda: bod_keras.encoders.FrameCNN(SHAPE, widths=(16, 32, 64)),
}
CLOCKS = {"wall": time.perf_counter, "cpu": time.process_time}
WHOLE, CHUNKS, STEPS = "whole batch", "chunks", "Keras' accumulation"
COLUMNS = "way k negatives MiB ms ratio cosine error".split()


def main():
    args = parse_arguments()
    if args.child:
        print(json.dumps(measure(args, *json.loads(args.child))))
        return
    ways = [(WHOLE, 1), *((way, k) for way in (CHUNKS, STEPS) for k in args.pieces if k > 1)]
    with tempfile.TemporaryDirectory() as folder:
        rows = [run(args, way, k, Path(folder, f"{i}.npy")) for i, (way, k) in enumerate(ways)]
    truth, whole = rows[0]["update"], rows[0]["ms"]
    for row in rows:
        update = row.pop("update")
        row["ratio"] = f"{row['ms'] / whole:.2f}"
        cosine = update @ truth / np.linalg.norm(update) / np.linalg.norm(truth)
        row["cosine"] = f"{cosine:.4f}"
        row["error"] = f"{np.abs(update - truth).max() / np.abs(truth).max():.0e}"
        row |= {name: f"{row[name]:.0f}" for name in ("MiB", "ms")}
    _, name = device.find_device()
    size = f"{args.batch} videos, {2 * args.batch} clips of {SHAPE}"
    print(f"{args.encoder}, {size}, {args.clock} time, {device.versions()}\n{name}\n")
    print(format_table(rows, {name: name for name in COLUMNS}))


def parse_arguments():
    parser = argparse.ArgumentParser(
        description="A large batch in pieces: memory, time, exactness."
    )
    add = parser.add_argument
    add("--encoder", choices=list(ENCODERS), default="vit")
    add("--batch", type=int, default=32, help="videos (default: %(default)s)")
    add("--pieces", type=lambda text: [int(k) for k in text.split(",")], default=[1, 2, 4, 8])
    add("--repeats", type=int, default=5, help="updates that are timed (default: %(default)s)")
    add("--clock", choices=list(CLOCKS), default="wall", help="cpu: for busy machines")
    add("--child", help=argparse.SUPPRESS)  # what a process of ours measures
    args = parser.parse_args()
    wrong = [k for k in args.pieces if k < 1 or args.batch % k or args.batch // k < 2]
    if wrong:
        parser.error(
            f"--pieces: each must divide --batch={args.batch} and leave 2 videos. Received: {wrong}"
        )
    return args


def run(args, way, k, path):
    """A row, measured by a process of its own."""
    print(f"{way}, {k} ...", file=sys.stderr, flush=True)
    child = json.dumps([way, k, str(path)])
    done = subprocess.run(
        [sys.executable, __file__, *sys.argv[1:], f"--child={child}"],
        stdout=subprocess.PIPE,
        text=True,
    )
    if done.returncode:  # killed by signal 9 is, as a rule, out of memory
        sys.exit(f"{way}, {k}: the process ended with status {done.returncode}.")
    return {**json.loads(done.stdout), "update": np.load(path)}


def measure(args, way, k, path):
    """One row: what is measured of k pieces; the encoder's first update goes to the path."""
    keras.utils.set_random_seed(0)
    model = bod_keras.VSimCLR(ENCODERS[args.encoder]())
    optimizer = keras.optimizers.SGD(
        1.0, gradient_accumulation_steps=k if way == STEPS and k > 1 else None
    )
    model.compile(optimizer, chunks=k if way == CHUNKS else 1)
    clips = step.make_batch(model, args.batch)
    parts = [clips[i::k] for i in range(k)] if way == STEPS else [clips]

    def update():
        for part in parts:
            step.step(model, part)

    before, waiting = weights(model), encoders.resident("VmRSS")
    update()
    np.save(path, before - weights(model))
    model.optimizer.learning_rate = 0.0  # the memory and time of an update that goes nowhere
    clock, times = CLOCKS[args.clock], []
    for _ in range(args.repeats):
        start = clock()
        update()
        times.append(clock() - start)
    return {
        "way": way,
        "k": k,
        "negatives": 2 * args.batch // (k if way == STEPS else 1) - 2,
        "ms": 1000 * float(np.median(times)),
        # Not of a later update by itself: TensorFlow keeps what it has asked the system for.
        "MiB": (encoders.resident("VmHWM") - waiting) / 1024,
    }


def weights(model):
    arrays = [keras.ops.convert_to_numpy(w).ravel() for w in model.encoder.trainable_weights]
    return np.concatenate(arrays)


if __name__ == "__main__":
    main()
