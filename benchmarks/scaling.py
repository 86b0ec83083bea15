"""What several replicas cost: measured on this machine, computed, and predicted to 512 GPUs; TensorFlow only.

    python benchmarks/scaling.py                                    # minutes on 2 CPU cores
    python benchmarks/scaling.py --compute=0.4 --batch=64 --parameters=31.6e6 \
      --bandwidth=20e9 --latency=20e-6 --loss=3e-10                 # with what your own machines measure

Weak scaling: every replica keeps its batch. Decoupled v-SimCLR trains on 1, 2 and 4 virtual CPU devices under
MirroredStrategy, a process each. The devices share the machine's cores, so the work of R replicas takes R
times as long at best, and "efficiency" is the clips/s of R replicas over those of one: what distribution
itself costs; ``--clock=cpu`` takes the time of all cores together. The bytes that each replica gathers are
counted in the traced step, and computed; both are printed.

The prediction is the model of docs/scaling.md. Compute, gather, all-reduce and loss are measured here, between
virtual devices, where nothing crosses a wire: give those of your own machines by the flags.
"""

import argparse
import json
import math
import os
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ["KERAS_BACKEND"] = "tensorflow"

import keras  # noqa: E402
import numpy as np  # noqa: E402
import tensorflow as tf  # noqa: E402

import bod_keras  # noqa: E402
from benchmarks import device  # noqa: E402
from bod_keras.evaluation import format_table  # noqa: E402
from bod_keras.frameworks import base  # noqa: E402

SHAPE, VIEWS = (16, 32, 32, 3), 2
FLOAT = 4  # bytes
CLOCKS = {"wall": time.perf_counter, "cpu": time.process_time}


def main():
    args = parse_arguments()
    if args.child:
        print(json.dumps(measure(args, args.child)))
        return
    rows = [run(r) for r in args.replicas]
    print(
        f"v-SimCLR, decoupled, {args.batch} videos a replica, {VIEWS} clips of {SHAPE}, {device.versions()}"
    )
    print(f"{device.find_device()[1]}\n\nMeasured: replicas that share this machine's cores\n")
    for row in rows:
        row["clips/s"] = row["replicas"] * args.batch * VIEWS / row["seconds"]
        row["efficiency"] = row["clips/s"] / rows[0]["clips/s"]
        row["gathered"], row["computed"] = row["gathered"] / 1024, gathered(row, args) / 1024
    names = ("replicas", "seconds", "clips/s", "efficiency", "gathered", "computed")
    print_table(rows, {name: f"KiB {name}" if name in names[4:] else name for name in names})
    costs = {
        "compute": args.compute or rows[0]["seconds"],
        "parameters": args.parameters or rows[0]["parameters"],
        "widths": rows[0]["widths"],
        **{name: getattr(args, name) or rows[-1][name] for name in ("latency", "bandwidth")},
        "loss": args.loss or loss_cost(rows[0]["losses"], CLOCKS[args.clock]),
    }
    print("\nPredicted from")
    print(f"  compute     {costs['compute']:.3g} s a step of {args.batch} videos on one replica")
    print(f"  parameters  {costs['parameters']:.4g}, float32 gradients")
    print(
        f"  latency     {costs['latency']:.3g} s a message; bandwidth {costs['bandwidth']:.3g} bytes/s"
    )
    print(f"  loss        {costs['loss']:.3g} s a pair of clips that are compared\n")
    curve = [predict(gpus, args, costs) for gpus in args.gpus]
    print_table(curve, {name: name for name in curve[0]})


def parse_arguments():
    parser = argparse.ArgumentParser(description="Scaling over replicas: measured and predicted.")
    add = parser.add_argument

    def numbers(text):
        return [int(number) for number in text.split(",")]

    add("--replicas", type=numbers, default=[1, 2, 4], help="that are measured (default: 1,2,4)")
    add("--gpus", type=numbers, default=[1, 8, 64, 512], help="predicted (default: 1,8,64,512)")
    add("--batch", type=int, default=16, help="videos of a replica (default: %(default)s)")
    add("--steps", type=int, default=5, help="steps that are timed (default: %(default)s)")
    add(
        "--queue",
        type=int,
        default=65536,
        help="keys of a queue, for its age (default: %(default)s)",
    )
    add("--compute", type=float, help="seconds of a step on one replica")
    add("--parameters", type=float, help="trainable parameters")
    add("--latency", type=float, help="seconds of a message between replicas")
    add("--bandwidth", type=float, help="bytes/s of a replica's link")
    add("--loss", type=float, help="seconds of the loss a pair of clips")
    add("--clock", choices=list(CLOCKS), default="wall", help="cpu: for busy machines")
    add("--child", type=int, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.replicas[:1] != [1] or min(args.replicas) < 1 or args.batch < 2:
        parser.error("--replicas must begin with 1, and --batch be at least 2")
    return args


def run(replicas):
    print(f"{replicas} replicas ...", file=sys.stderr, flush=True)
    command = [sys.executable, __file__, *sys.argv[1:], f"--child={replicas}"]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True)
    if done.returncode:
        sys.exit(f"{replicas} replicas: the process ended with status {done.returncode}.")
    return json.loads(done.stdout)


def measure(args, replicas):
    """Seconds of a step, bytes that each replica has gathered in it, and cost of the collectives."""
    cpu = tf.config.list_physical_devices("CPU")[0]
    tf.config.set_logical_device_configuration(
        cpu, [tf.config.LogicalDeviceConfiguration()] * replicas
    )
    strategy = tf.distribute.MirroredStrategy([f"CPU:{r}" for r in range(replicas)])
    if replicas == 1:
        strategy = tf.distribute.get_strategy()
    calls, gather = [], base.gather

    def counting(x):
        calls.append((x.shape[0] or args.batch) * math.prod(x.shape[1:]) * FLOAT)
        return gather(x)

    base.gather = counting
    losses, contrast = [], bod_keras.InfoNCE.call

    def counted(loss, view_a, view_b):
        losses.append(int(view_a.shape[-1]))
        return contrast(loss, view_a, view_b)

    bod_keras.InfoNCE.call = counted
    with strategy.scope():
        encoder = bod_keras.encoders.FrameCNN(SHAPE)
        model = bod_keras.VSimCLR(encoder, decoupling=True)
        model.compile(keras.optimizers.SGD(1e-3))
    rng = np.random.default_rng(0)
    clips = rng.random((replicas * args.batch, VIEWS, *SHAPE), "float32")
    data = tf.data.Dataset.from_tensors(clips).unbatch().batch(len(clips), drop_remainder=True)
    clock = Clock(CLOCKS[args.clock])
    model.fit(data.cache().repeat(), steps_per_epoch=args.steps + 2, verbose=0, callbacks=[clock])
    # Every replica traces the step, and calls with its own rows: what it gathers is the sum over all.
    row = {
        "replicas": replicas,
        "seconds": float(np.median(clock.seconds[2:])),  # the first ones trace
        "gathered": sum(calls) if replicas > 1 else 0,
        "parameters": int(sum(math.prod(w.shape) for w in model.trainable_weights)),
        "widths": model.parts,
        # Of one replica: how many losses of two views a step has, by their width.
        "losses": {width: losses.count(width) for width in set(losses)},
    }
    if replicas > 1:
        small, large = (collective_seconds(strategy, n, CLOCKS[args.clock]) for n in (16, 2**22))
        row["latency"] = small
        row["bandwidth"] = 2 * (replicas - 1) / replicas * 2**22 * FLOAT / (large - small)
    return row


class Clock(keras.callbacks.Callback):
    """Seconds of each step, by a clock."""

    def __init__(self, clock):
        super().__init__()
        self.clock, self.seconds = clock, []

    def on_train_batch_begin(self, batch, logs=None):
        self._start = self.clock()

    def on_train_batch_end(self, batch, logs=None):
        float(logs["loss"])
        self.seconds.append(self.clock() - self._start)


def collective_seconds(strategy, numbers, clock):
    """Median time in which the replicas sum this many float32 numbers."""

    @tf.function
    def reduce(x):
        def one(x):
            context = tf.distribute.get_replica_context()
            x = x * tf.cast(context.replica_id_in_sync_group, tf.float32)  # each its own
            return tf.reduce_sum(context.all_reduce(tf.distribute.ReduceOp.SUM, x))

        return strategy.experimental_local_results(strategy.run(one, [x]))

    x = tf.ones(numbers)
    return median_seconds(lambda: reduce(x), clock)


def median_seconds(function, clock):
    times = []
    for _ in range(12):
        start = clock()
        function()
        times.append(clock() - start)
    return float(np.median(times[2:]))  # the first ones trace


def loss_cost(losses, clock, videos=512):
    """Seconds of a step's `InfoNCE` and their gradients, over the pairs of clips."""
    rng = np.random.default_rng(0)
    loss = bod_keras.InfoNCE()

    @tf.function
    def once(views):
        with tf.GradientTape() as tape:
            tape.watch(views)
            value = loss(*views)
        return tape.gradient(value, views)

    total = 0.0
    for width, count in losses.items():
        shape = videos, int(width)
        views = [tf.constant(rng.normal(size=shape), tf.float32) for _ in range(VIEWS)]
        total += count * median_seconds(lambda v=views: once(v), clock)
    return total / (VIEWS * videos) ** 2


def gathered(row, args):
    """Bytes that all replicas gather in a step: every view's embeddings of every part, from each of them."""
    if row["replicas"] == 1:
        return 0
    return row["replicas"] * own_bytes(row["widths"], args)


def own_bytes(widths, args):
    """Those of one replica's embeddings: the dynamic part sees the motion view, too."""
    numbers = sum((VIEWS + (part == "dynamic")) * width for part, width in widths.items())
    return args.batch * numbers * FLOAT


def predict(replicas, args, costs):
    """A row of the curve; docs/scaling.md has the formulas."""
    videos = replicas * args.batch
    clips = VIEWS * videos
    hops = math.ceil(math.log2(replicas))
    share = (replicas - 1) / replicas
    own = own_bytes(costs["widths"], args)
    gather = hops * costs["latency"] + (replicas - 1) * own / costs["bandwidth"]
    # The gradient of a gather is a sum of as many bytes, scattered back.
    gather *= 2
    weights = costs["parameters"] * FLOAT
    reduce = 2 * hops * costs["latency"] + 2 * share * weights / costs["bandwidth"]
    here = VIEWS * args.batch
    # A replica compares its own clips with all: it computes its rows of the logits.
    more_loss = costs["loss"] * (clips - here) * here
    seconds = costs["compute"] + gather + reduce + more_loss
    return {
        "GPUs": replicas,
        "videos": videos,
        "negatives": clips - 2,
        "queue steps": args.queue / clips,
        "MiB gathered": (replicas - 1) * own / 2**20,
        "gather s": gather,
        "reduce s": reduce,
        "loss s": more_loss,
        "logits GiB": FLOAT * clips * here / 2**30,
        "efficiency": costs["compute"] / seconds,
        "clips/s": clips / seconds,
        "a GPU": here / seconds,
        "a host of 8": min(8, replicas) * here / seconds,
    }


def print_table(rows, columns):
    cells = [
        {name: f"{v:.3g}" if isinstance(v, float) else v for name, v in row.items()} for row in rows
    ]
    print(format_table(cells, columns))


if __name__ == "__main__":
    main()
