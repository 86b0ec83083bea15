"""Time of one training step: plain v-SimCLR against decoupled and bi-level, on the current backend.

Both are compiled models that take whole steps (forward, backward, AdamW, statistics) on one batch
that stays on the device, compiled as `fit` does it (``jit_compile="auto"``):

* plain: v-SimCLR alone;
* default: `decoupling=True`: split, bi-level update of the head, and a motion view, a third clip for every two.

Encoders: small is configs/demo.py (FrameCNN, 10 x 32 x 32), r3d18 is R3D-18 on 16 x 112 x 112, which takes tens
of minutes on a CPU.

    python benchmarks/step.py                                       # TensorFlow, small encoder
    KERAS_BACKEND=torch python benchmarks/step.py --encoder=all     # or jax
    python benchmarks/step.py --help

How to read it: the two take turns, one step each a round, so that a drift of the machine's speed hits all
alike. "seconds" is the median over rounds; "ratio" the median over rounds of the step over the plain step of
the same round, beside its quartiles: if these are far apart the machine is too busy to judge by. "XLA" tells
whether Keras compiles the step by it; a variant that cannot be pays for that too. "first" is the first step,
which compiles.
"""

import argparse
import os
import sys

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

import keras  # noqa: E402
import numpy as np  # noqa: E402
from keras import ops  # noqa: E402

from benchmarks.device import find_device, seconds, use_threads, versions, wait  # noqa: E402
from bod_keras.configs import demo  # noqa: E402
from bod_keras.experiment import build_model  # noqa: E402

VIEWS = 2
VARIANTS = ("plain", "default")
ENCODERS = ("small", "r3d18")
# encoder: (batch, rounds) on a CPU and on a GPU
SIZES = {"small": {"CPU": (64, 15), "GPU": (64, 50)}, "r3d18": {"CPU": (2, 3), "GPU": (16, 20)}}


def main():
    args = parse_arguments()
    keras.config.set_dtype_policy(args.precision)
    use_threads(args.threads)
    device, name = find_device()
    for encoder in ENCODERS if args.encoder == "all" else (args.encoder,):
        batch, rounds = SIZES[encoder][device]
        batch, rounds = args.batch or batch, args.repeats or rounds
        models = {variant: make_model(encoder, variant) for variant in VARIANTS}
        clips = make_batch(models["plain"], batch)
        first, times = measure(models, clips, rounds)
        print(
            f"\n{encoder}: {batch} videos, {VIEWS * batch} clips of {_shape(clips)}, "
            f"{args.precision}, median of {rounds} rounds\n{versions()}\n{name}\n"
        )
        print_table(models, first, times)


def parse_arguments():
    parser = argparse.ArgumentParser(description="Time of one training step, plain and bi-level.")
    parser.add_argument("--encoder", choices=(*ENCODERS, "all"), default="small")
    parser.add_argument("--batch", type=int, help="videos (default: by encoder and device)")
    parser.add_argument("--repeats", type=int, help="rounds (default: by encoder and device)")
    parser.add_argument("--threads", type=int, help="CPU threads (default: all)")
    parser.add_argument(
        "--precision",
        choices=("float32", "mixed_bfloat16", "mixed_float16"),
        default="float32",
    )
    args = parser.parse_args()
    if min(value for value in (args.batch, args.repeats, args.threads, 1) if value is not None) < 1:
        parser.error("--batch, --repeats and --threads must be at least 1")
    return args


def make_model(encoder, variant):
    """A compiled framework; all variants of an encoder start from the same weights."""
    keras.utils.set_random_seed(0)
    config = demo.get_config("plain" if variant == "plain" else "bod").to_dict()
    if encoder == "r3d18":
        config["encoder"]["name"] = "r3d18"
        config["clips"] |= {"frames": 16, "size": 112}
        config["head"] |= {"hidden": 512, "width": 128}
    model = build_model(config, steps_per_epoch=1)
    model.compile(keras.optimizers.AdamW(1e-3, weight_decay=1e-4))
    return model


def make_batch(model, batch):
    """Clips of noise (B, V, T, H, W, 3) on the device."""
    rng = np.random.default_rng(0)
    shape = (batch, VIEWS, *model.encoder.input_shape[1:])
    return ops.convert_to_tensor(rng.random(shape, "float32"))


def measure(models, clips, rounds):
    """Seconds of every model: of its first step, and of one step a round, models in turn."""
    first = {}
    for variant, model in models.items():
        first[variant] = seconds(lambda m=model: step(m, clips))
        print(f"first step of {variant}: {first[variant]:.1f} s", file=sys.stderr, flush=True)
    times = {variant: [] for variant in models}
    for number in range(rounds + 1):
        for variant, model in models.items():
            elapsed = seconds(lambda m=model: step(m, clips))
            if number:  # the first round warms up
                times[variant].append(elapsed)
    return first, {variant: np.array(values) for variant, values in times.items()}


def step(model, clips):
    """One training step, finished: its loss is read."""
    loss = float(model.train_on_batch(clips, return_dict=True)["loss"])
    if not np.isfinite(loss):
        sys.exit(f"The loss is {loss}: times of a broken step mean nothing.")
    wait(loss)


def print_table(models, first, times):
    rows = [("variant", "seconds", "ratio", "quartiles", "XLA", "first")]
    for variant, values in times.items():
        ratios = values / times["plain"]
        low, ratio, high = np.percentile(ratios, (25, 50, 75))
        rows.append(
            (
                variant,
                f"{np.median(values):.4f}",
                f"{ratio:.2f}",
                f"{low:.2f}-{high:.2f}",
                "yes" if models[variant].jit_compile else "no",
                f"{first[variant]:.1f}",
            )
        )
    _print_columns(rows)


def _shape(clips):
    return " x ".join(str(size) for size in clips.shape[2:5])


def _print_columns(rows):
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    for row in rows:
        cells = [cell.rjust(width) for cell, width in zip(row, widths)]
        print("  ".join([row[0].ljust(widths[0]), *cells[1:]]).rstrip())


if __name__ == "__main__":
    main()
