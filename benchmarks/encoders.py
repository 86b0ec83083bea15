"""Speed, memory, size and parity of the encoders beside the same networks in PyTorch, on a CPU.

For every encoder and size of clip a row tells:

* parameters: trainable ones of the Keras model;
* GFLOPs: multiply-adds of the convolutions, dense layers and attention products of one clip, in 10^9, counted
  from the Keras model's layers. One multiply-add counts once, as in the tables of torchvision and SlowFast;
  biases, normalization, activations and pooling do not count;
* error: largest difference of the features from those of the PyTorch network with the same random weights, over
  the largest feature; the greater of inference and training mode;
* clips/s, forward (inference) and forward+backward (training mode; the gradients of all weights and the new
  moving statistics), in Keras on the current backend, compiled as training runs it, and in PyTorch eager;
* ratio: Keras over PyTorch, higher is better;
* MiB: peak of the resident memory in a second call over that before the first, Keras / PyTorch (Linux).

PyTorch's side is `tests/torch_networks`: the published networks of PyTorch's own layers.

    KERAS_BACKEND=tensorflow python benchmarks/encoders.py           # or jax, torch; PyTorch must be installed
    python benchmarks/encoders.py --encoders=R3D18 --sizes=16x112x112 --remat
    python benchmarks/encoders.py --output=FOLDER                    # can be stopped and continued
    python benchmarks/encoders.py --help

FOLDER/measured.json keeps what each process measured, as soon as it has, with the options that it depends on;
what is kept is not measured again. To start anew, delete it. Backends may share a folder: PyTorch's memory is
then measured once.

How to read it: each speed is the best of the rounds, in which the four calls take turns in one process with the
same number of threads; trust the ratios more than the clips/s. Where other programs want the same cores, take
`--threads=1 --clock=cpu`: seconds of processor time, which they disturb less. Every row's speed, and every
memory figure, comes from a process of its own. What tracing and compilation leave behind counts as memory; what
they need at their peak does not.
"""

import argparse
import csv
import json
import os
import re
import subprocess
import sys
import tempfile
import time
from collections import namedtuple
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

import numpy as np  # noqa: E402
from tqdm import tqdm  # noqa: E402

from benchmarks.encoder_calls import (  # noqa: E402
    CALLS,
    keras_calls,
    keras_model,
    peak_memory,
    torch_calls,
    torch_network,
)
from benchmarks.markdown import markdown  # noqa: E402

# builder: in bod_keras.encoders; arguments: those that make the published network; twin: module and builder in
# tests/torch_networks; tiny: arguments of both builders, for --smoke.
Network = namedtuple("Network", "builder arguments twin tiny")
STRIDE = {"temporal_stride": 8}
NETWORKS = {
    "R3D18": Network("R3D18", STRIDE, "r3d.r3d_18", {"width": 4}),
    "R2Plus1D18": Network("R2Plus1D18", STRIDE, "r3d.r2plus1d_18", {"width": 4}),
    "MC3_18": Network("MC3_18", {}, "r3d.mc3_18", {"width": 4}),
    "C3D": Network("C3D", STRIDE, "c3d.C3D", {"width": 4}),
    "S3D": Network("S3D", STRIDE, "s3d.torchvision", {}),
    "S3D-G": Network("S3D", {**STRIDE, "gating": True}, "s3d.rspnet", {}),
    "SlowOnlyR50": Network("SlowOnlyR50", {}, "slow_only.PyTorchVideoSlow", {"width": 4}),
    "VideoViT": Network(
        "VideoViT", {"temporal_stride": 2}, "vit.VideoMAE", {"width": 24, "depth": 2, "heads": 2}
    ),
}
SIZES = ("16x112x112", "8x224x224")
SMOKE_SIZE = "4x32x32"
SIDES = ("Keras", "PyTorch")
FAILED = "failed"


def main():
    args = parse_arguments()
    if args.child:
        print(json.dumps(measure(args, **json.loads(args.child))))
        return
    cases = [
        {"encoder": encoder, "size": size, "remat": remat}
        for encoder in args.encoders
        for size in args.sizes
        for remat in ((False, True) if args.remat else (False,))
    ]
    measured = Measured(args)
    rows = []
    processes = {"speed": 1, "memory": len(args.calls) * len(SIDES)}
    processes["all"] = sum(processes.values())
    with tqdm(total=len(cases) * processes[args.what], unit="process") as progress:
        for case in cases:
            rows.append(measure_row(args, case, measured, progress))
            if args.output:
                write_table(rows, args.output)
    print_table(args, rows)
    sys.exit(any(FAILED in cell for row in rows for cell in row.values()))


def parse_arguments():
    def names(text):
        return text.split(",")

    parser = argparse.ArgumentParser(description="The encoders beside PyTorch eager, on a CPU.")
    add = parser.add_argument
    add("--encoders", type=names, default=list(NETWORKS), help=f"some of {','.join(NETWORKS)}")
    add("--sizes", type=names, default=SIZES, help=f"TxHxW,... (default: {','.join(SIZES)})")
    add("--calls", type=names, default=CALLS, help=f"some of {','.join(CALLS)}")
    add("--batch", type=int, default=2, help="clips (default: %(default)s)")
    add("--repeats", type=int, default=5, help="rounds (default: %(default)s)")
    add("--threads", type=int, help="CPU threads of either side (default: all)")
    add(
        "--clock", choices=("wall", "cpu"), default="wall", help="cpu: for busy machines, see above"
    )
    add(
        "--what",
        choices=("all", "speed", "memory"),
        default="all",
        help="all but one leaves columns out",
    )
    add("--remat", action="store_true", help="a second row for each, with remat=True")
    add("--jit", action="store_true", help="compile by XLA on TensorFlow, too")
    add("--output", type=Path, help="folder of the tables, and of what is not to be measured again")
    add("--smoke", action="store_true", help=f"tiny encoders, {SMOKE_SIZE}, once: does it run?")
    add("--child", help=argparse.SUPPRESS)  # what a process of ours measures
    args = parser.parse_args()
    if args.smoke:
        args.sizes, args.batch, args.repeats = (SMOKE_SIZE,), 1, 1
    unknown = sorted(set(args.encoders) - set(NETWORKS))
    if unknown:
        parser.error(
            f"--encoders: expected some of {', '.join(NETWORKS)}, received {', '.join(unknown)}"
        )
    if not set(args.calls) <= set(CALLS):
        parser.error(f"--calls: expected some of {', '.join(CALLS)}, received {args.calls}")
    for size in args.sizes:
        if not re.fullmatch(r"[1-9]\d*(x[1-9]\d*){2}", size):
            parser.error(f"--sizes: expected TxHxW such as 16x112x112, received {size!r}")
    if min(args.batch, args.repeats, 1 if args.threads is None else args.threads) < 1:
        parser.error("--batch, --repeats and --threads must be at least 1")
    return args


# -- the parent: rows from processes of their own ----------------------------------------------------------


class Measured:
    """What processes measured, by case and by the options that it depends on; kept in ``--output``."""

    def __init__(self, args):
        self.args = args
        self.file = args.output / "measured.json" if args.output else None
        self.results = {}
        if self.file and self.file.exists():
            self.results = json.loads(self.file.read_text())

    def get(self, case, progress):
        """The kept result, else that of a process of its own: None, which is not kept, if it fails."""
        key = self.key(case)
        if key not in self.results:
            result = run_child(case, self.args.threads, progress)
            if result is None:
                return None
            self.results[key] = result
            self._write()
        progress.update()
        return self.results[key]

    def key(self, case):
        args = self.args
        options = {"batch": args.batch, "threads": args.threads, "smoke": args.smoke}
        if not case["what"].endswith("PyTorch"):
            options.update(backend=backend(), jit=args.jit)
        if case["what"] == "speed":
            options.update(clock=args.clock, repeats=args.repeats)
        else:
            # The peak of PyTorch's side, which has no remat, is that of the row without.
            case = {**case, "remat": case["remat"] and "backend" in options}
        return " ".join(f"{name}={value}" for name, value in {**case, **options}.items())

    def _write(self):
        if self.file:
            self.file.parent.mkdir(parents=True, exist_ok=True)
            new = self.file.with_suffix(".new")  # a stop while it is written leaves the old one
            new.write_text(json.dumps(self.results, indent=1))
            new.replace(self.file)


def backend():
    return os.environ.get("KERAS_BACKEND", "tensorflow")


def measure_row(args, case, measured, progress):
    """The cells of one row, ``{column: text}``."""
    row = {
        "encoder": case["encoder"] + (" remat" if case["remat"] else ""),
        "clip": case["size"].replace("x", " x "),
    }
    progress.set_description(" ".join(row.values()))
    if args.what != "memory":
        row.update(speed_cells(args, measured.get({**case, "what": "speed"}, progress)))
    if args.what != "speed":
        for call in args.calls:
            peaks = [measured.get({**case, "what": f"{call} {side}"}, progress) for side in SIDES]
            row[f"{call}: MiB"] = " / ".join(FAILED if p is None else f"{p:.0f}" for p in peaks)
    return row


def speed_cells(args, speed):
    cells = {
        "parameters": f"{speed['parameters']:,}" if speed else FAILED,
        "GFLOPs": f"{speed['multiply_adds'] / 1e9:.2f}" if speed else FAILED,
        "error": f"{speed['error']:.0e}" if speed else FAILED,
    }
    for call in args.calls:
        seconds = [speed["seconds"][f"{call} {side}"] for side in SIDES] if speed else None
        cells[f"{call}: clips/s"] = (
            " / ".join(f"{args.batch / s:.2f}" for s in seconds) if speed else FAILED
        )
        cells[f"{call}: ratio"] = f"{seconds[1] / seconds[0]:.2f}" if speed else FAILED
    return cells


def run_child(case, threads, progress):
    """What a process of its own measured, or None after telling how it ended."""
    command = [sys.executable, __file__, *sys.argv[1:], f"--child={json.dumps(case)}"]
    done = subprocess.run(command, env=environment(threads), capture_output=True, text=True)
    if done.returncode == 0:
        return json.loads(done.stdout.splitlines()[-1])
    # Killed by signal 9 is, as a rule, out of memory.
    progress.write(f"{case} ended with {done.returncode}:\n{done.stderr[-2000:]}", file=sys.stderr)
    return None


def environment(threads):
    """Of a child: the CPU only, and as many threads of either side as asked for."""
    settings = {
        "CUDA_VISIBLE_DEVICES": "",
        "JAX_PLATFORMS": "cpu",
        "TF_CPP_MIN_LOG_LEVEL": "3",
        # Large blocks go back to the system at once, so that the peak is not that of an earlier call.
        "MALLOC_MMAP_THRESHOLD_": "1000000",
    }
    if threads:
        settings.update(dict.fromkeys(("OMP_NUM_THREADS", "TF_NUM_INTRAOP_THREADS"), str(threads)))
    return {**os.environ, **settings}


def print_table(args, rows):
    print(
        f"\nKeras on {backend()}{', XLA' if args.jit else ''} / PyTorch eager; batch {args.batch}, "
        f"threads: {args.threads or 'all'}, {args.clock} time, best of {args.repeats}\n"
    )
    print(markdown(rows))


def write_table(rows, folder):
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"encoders-{backend()}.md").write_text(markdown(rows) + "\n")
    with open(folder / f"encoders-{backend()}.csv", "w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)


# -- a child: one measurement ------------------------------------------------------------------------------


def measure(args, encoder, size, remat, what):
    if args.threads and hasattr(os, "sched_setaffinity"):  # the only way that holds for JAX
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[: args.threads])
    clips = np.random.default_rng(0).random((args.batch, *map(int, size.split("x")), 3), "float32")
    network = NETWORKS[encoder]
    tiny = network.tiny if args.smoke else {}
    if what == "speed":
        model = keras_model(network.builder, {**network.arguments, **tiny}, clips.shape[1:], remat)
        twin = torch_network(network.twin, tiny)
        return measure_speed(args, model, twin, clips)
    call, side = what.split()
    if side == "Keras":
        model = keras_model(network.builder, {**network.arguments, **tiny}, clips.shape[1:], remat)
        return peak_memory(keras_calls(model, clips, args.jit)[call])
    return peak_memory(torch_calls(torch_network(network.twin, tiny), clips)[call])


def measure_speed(args, model, network, clips):
    """Size, parity, and the best seconds of every call; the four take turns."""
    import torch

    from benchmarks.multiply_adds import multiply_adds
    from bod_keras.weights import load_torch

    with tempfile.TemporaryDirectory() as folder:
        torch.save(network.network.state_dict(), Path(folder) / "weights.pth")
        load_torch(model, Path(folder) / "weights.pth")
    calls = {}
    for side, functions in zip(
        SIDES, (keras_calls(model, clips, args.jit), torch_calls(network, clips))
    ):
        calls.update({f"{name} {side}": function for name, function in functions.items()})
    error = max(_difference(*(calls[f"{call} {side}"]() for side in SIDES)) for call in CALLS)
    clock = time.process_time if args.clock == "cpu" else time.perf_counter
    best = dict.fromkeys(calls, float("inf"))
    for _ in range(args.repeats):
        for name, function in calls.items():
            start = clock()
            function()
            best[name] = min(best[name], clock() - start)
    return {
        "parameters": sum(int(np.prod(w.shape)) for w in model.trainable_weights),
        "multiply_adds": multiply_adds(model, clips.shape[1:]),
        "error": error,
        "seconds": best,
    }


def _difference(ours, theirs):
    return float(np.abs(ours - theirs).max() / np.abs(theirs).max())


if __name__ == "__main__":
    main()
