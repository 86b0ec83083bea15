"""Speed, memory, size and parity of the encoders beside the same networks in PyTorch, on a CPU.

For every encoder and size of clip a row tells:

* parameters: trainable ones of the Keras model;
* GFLOPs: multiply-adds of the convolutions, dense layers and attention products of one clip, in 10^9, counted
  from the Keras model's layers. One multiply-add counts once, as in the tables of torchvision and SlowFast;
  biases, normalisation, activations and pooling do not count;
* error: largest difference of the features from those of the PyTorch network with the same random weights, over
  the largest feature; the greater of inference and training mode;
* clips/s, forward (inference) and forward+backward (training mode; the gradients of all weights and the new
  moving statistics), in Keras on the current backend, compiled as training runs it, and in PyTorch eager;
* ratio: Keras over PyTorch, higher is better;
* MiB: peak of the resident memory during the call over that of the waiting process, Keras / PyTorch (Linux).

PyTorch's side is `tests/torch_networks`: the published networks of PyTorch's own layers.

    KERAS_BACKEND=tensorflow python benchmarks/encoders.py           # or jax, torch; PyTorch must be installed
    python benchmarks/encoders.py --encoders=R3D18 --sizes=16x112x112 --remat
    python benchmarks/encoders.py --help

How to read it: each speed is the best of the rounds, in which the four calls take turns in one process with the
same number of threads; trust the ratios more than the clips/s. Where other programs want the same cores, take
`--threads=1 --clock=cpu`: seconds of processor time, which they disturb less. Every row's speed, and every
memory figure, comes from a process of its own. Before memory is measured the call has run once: what tracing
and compilation need does not count.
"""

import argparse
import csv
import ctypes
import gc
import importlib
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
CALLS = ("forward", "forward+backward")
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
    with tqdm(total=len(cases) * (1 + len(CALLS) * len(SIDES)), unit="process") as progress:
        rows = [measure_row(args, case, progress) for case in cases]
    print_table(args, rows)
    if args.output:
        write_table(rows, args.output)
    sys.exit(any(FAILED in cell for row in rows for cell in row.values()))


def parse_arguments():
    def names(text):
        return text.split(",")

    parser = argparse.ArgumentParser(description="The encoders beside PyTorch eager, on a CPU.")
    add = parser.add_argument
    add("--encoders", type=names, default=list(NETWORKS), help=f"some of {','.join(NETWORKS)}")
    add("--sizes", type=names, default=SIZES, help=f"TxHxW,... (default: {','.join(SIZES)})")
    add("--batch", type=int, default=2, help="clips (default: %(default)s)")
    add("--repeats", type=int, default=5, help="rounds (default: %(default)s)")
    add("--threads", type=int, help="CPU threads of either side (default: all)")
    add(
        "--clock", choices=("wall", "cpu"), default="wall", help="cpu: for busy machines, see above"
    )
    add("--remat", action="store_true", help="a second row for each, with remat=True")
    add("--jit", action="store_true", help="compile by XLA on TensorFlow, too")
    add("--output", type=Path, help="folder for encoders.md and encoders.csv")
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
    for size in args.sizes:
        if not re.fullmatch(r"[1-9]\d*(x[1-9]\d*){2}", size):
            parser.error(f"--sizes: expected TxHxW such as 16x112x112, received {size!r}")
    if min(args.batch, args.repeats, 1 if args.threads is None else args.threads) < 1:
        parser.error("--batch, --repeats and --threads must be at least 1")
    return args


# -- the parent: rows from processes of their own ----------------------------------------------------------


def measure_row(args, case, progress):
    """The cells of one row, ``{column: text}``."""
    row = {
        "encoder": case["encoder"] + (" remat" if case["remat"] else ""),
        "clip": case["size"].replace("x", " x "),
    }
    progress.set_description(" ".join(row.values()))
    speed = run_child({**case, "what": "speed"}, args.threads, progress)
    row["parameters"] = f"{speed['parameters']:,}" if speed else FAILED
    row["GFLOPs"] = f"{speed['multiply_adds'] / 1e9:.2f}" if speed else FAILED
    row["error"] = f"{speed['error']:.0e}" if speed else FAILED
    for call in CALLS:
        seconds = [speed["seconds"][f"{call} {side}"] for side in SIDES] if speed else None
        row[f"{call}: clips/s"] = (
            " / ".join(f"{args.batch / s:.2f}" for s in seconds) if speed else FAILED
        )
        row[f"{call}: ratio"] = f"{seconds[1] / seconds[0]:.2f}" if speed else FAILED
    for call in CALLS:
        peaks = [
            run_child({**case, "what": f"{call} {side}"}, args.threads, progress) for side in SIDES
        ]
        row[f"{call}: MiB"] = " / ".join(FAILED if p is None else f"{p:.0f}" for p in peaks)
    return row


def run_child(case, threads, progress):
    """What a process of its own measured, or None after telling how it ended."""
    command = [sys.executable, __file__, *sys.argv[1:], f"--child={json.dumps(case)}"]
    done = subprocess.run(command, env=environment(threads), capture_output=True, text=True)
    progress.update()
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
    backend = os.environ.get("KERAS_BACKEND", "tensorflow")
    print(
        f"\nKeras on {backend}{', XLA' if args.jit else ''} / PyTorch eager; batch {args.batch}, "
        f"threads: {args.threads or 'all'}, {args.clock} time, best of {args.repeats}\n"
    )
    print(markdown(rows))


def markdown(rows):
    """A Markdown table whose columns are also aligned as text."""
    columns = list(rows[0])
    widths = [max(len(c), *(len(row[c]) for row in rows)) for c in columns]
    lines = [
        columns,
        ["-" * width for width in widths],
        *([row[c] for c in columns] for row in rows),
    ]
    return "\n".join(
        "| " + " | ".join(cell.ljust(width) for cell, width in zip(line, widths)) + " |"
        for line in lines
    )


def write_table(rows, folder):
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "encoders.md").write_text(markdown(rows) + "\n")
    with open(folder / "encoders.csv", "w", newline="") as file:
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


def keras_model(builder, arguments, clip, remat):
    import bod_keras

    if remat:
        arguments = {**arguments, "remat": True}
    return getattr(bod_keras.encoders, builder)(input_shape=clip, **arguments)


def torch_network(twin, arguments):
    """The twin of an encoder, with weights and moving statistics unlike their defaults."""
    import torch

    from tests.torch_networks import randomise

    class FrameFeatures(torch.nn.Module):
        """As an encoder, from clips in [0, 1] to frame features, but of clips (B, 3, T, H, W)."""

        def __init__(self, network, mean, std):
            super().__init__()
            self.network = network
            self.mean, self.std = (torch.tensor(x).view(3, 1, 1, 1) for x in (mean, std))

        def forward(self, clips):
            return self.network((clips - self.mean) / self.std).mean((3, 4)).transpose(1, 2)

    module, name = twin.split(".")
    module = importlib.import_module(f"tests.torch_networks.{module}")
    return FrameFeatures(randomise(getattr(module, name)(**arguments)), module.MEAN, module.STD)


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


def keras_calls(model, clips, jit):
    """``{call: function without arguments}``; each returns the features as an array when all is computed."""
    import keras
    from keras import ops

    from bod_keras.training.autodiff import (
        current_values,
        functional_call,
        no_gradient,
        value_and_grad,
    )

    weights, state = model.trainable_variables, model.non_trainable_variables
    variables = weights + state

    def forward(values, statistics, clips):
        return functional_call(
            lambda: model(clips, training=False), variables, [*values, *statistics]
        )[0]

    def forward_backward(values, statistics, clips, slope):
        def loss(values):
            features, new = functional_call(
                lambda: model(clips, training=True), variables, [*values, *statistics]
            )
            return ops.sum(features * slope), (features, new[len(weights) :])

        return value_and_grad(loss, values)

    backend = keras.backend.backend()
    if backend == "tensorflow":
        import tensorflow as tf

        forward = tf.function(forward, autograph=False, jit_compile=jit)
        forward_backward = tf.function(forward_backward, autograph=False, jit_compile=jit)
    elif backend == "jax":
        import jax

        forward, forward_backward = jax.jit(forward), jax.jit(forward_backward)
    clips = ops.convert_to_tensor(clips)
    slope = ops.convert_to_tensor(_slope(model.compute_output_shape(clips.shape)))
    values, statistics = current_values(weights), current_values(state)

    def run_forward():
        with no_gradient():
            return ops.convert_to_numpy(forward(values, statistics, clips))

    def run_both():
        _, (features, _), gradients = result = forward_backward(values, statistics, clips, slope)
        if backend == "jax":  # the others return when the gradients are there
            jax.block_until_ready(result)
        return ops.convert_to_numpy(features)

    return dict(zip(CALLS, (run_forward, run_both)))


def torch_calls(network, clips):
    """As `keras_calls`, in PyTorch eager with its default layout."""
    import torch

    clips = torch.tensor(clips).movedim(-1, 1).contiguous()
    with torch.no_grad():
        slope = torch.tensor(_slope(network.eval()(clips).shape))
    weights = list(network.parameters())

    def forward():
        network.eval()
        with torch.no_grad():
            return network(clips).numpy()

    def forward_backward():
        network.train()
        features = network(clips)
        torch.autograd.grad((features * slope).sum(), weights)
        return features.detach().numpy()

    return dict(zip(CALLS, (forward, forward_backward)))


def _slope(shape):
    """What the loss multiplies the features with, so that no gradient vanishes by symmetry."""
    return np.random.default_rng(1).normal(size=shape).astype("float32")


def peak_memory(function):
    """MiB of resident memory that a second call adds at its peak."""
    function()
    gc.collect()
    ctypes.CDLL(None).malloc_trim(0)
    Path("/proc/self/clear_refs").write_text("5")  # the peak starts anew
    before = resident("VmRSS")
    function()
    return (resident("VmHWM") - before) / 1024


def resident(field):
    return int(re.search(rf"{field}:\s+(\d+) kB", Path("/proc/self/status").read_text())[1])


if __name__ == "__main__":
    main()
