"""Time of the Koopman split against the D x D route, on one CPU thread.

Measured, for a batch of clips of frame embeddings (B, T, D), from the embeddings on:

* ours: `KoopmanSplit(...).split`, that is reduced operator, projector, static part and the operator read-out;
  with the closest eigenvalue or those within a threshold, and with the projector P constant (products and
  solutions of linear systems) or differentiated (eigenvectors);
* "closest, by eigenvalues": instead of the first of these, an eigensolver for the closest
  eigenvalue's distance and the resolvent's filter for P;
* the rival, the D x D route as published: per clip the pseudo-inverse of the past frames, A = X^+ Y of shape
  (D, D), its eigendecomposition, the mask |lambda - 1| <= threshold, A_S = V diag(lambda mask) V^-1 and
  A_D likewise, and the means over time of x A_S and x A_D, with the backend's own batched routines.

"forward+backward" adds the gradient of |static|^2 + |dynamic|^2 with respect to the embeddings: ours by our
rules, the rival's by the backend's autodiff. JAX cannot differentiate eigenvectors, so there the rival has a
forward time only. Both are compiled as training runs them: tf.function, jax.jit, eager PyTorch.

    python benchmarks/koopman_split.py                          # TensorFlow
    KERAS_BACKEND=torch python benchmarks/koopman_split.py      # or jax
    python benchmarks/koopman_split.py --batch=64 --frames 12 16 --width 32 128
    python benchmarks/koopman_split.py --help

How to read it: "ratio" is the rival's forward+backward time over the row's (on JAX: forward over forward);
higher is better. Times are medians of interleaved repeats: trust the ratios more than the milliseconds.

The clips are a constant plus orthogonal rotations, T-1 modes in all, so that the ridge-free operator is well
defined, its eigenvalues are clear of the circle, and the static part is known. Both routes run without ridge.
"error" is the largest |s - s_exact| and "to rival" the largest |s - s_rival|, where frames have norm 1. Both
routes work in float32 and solve with the past frames, so they may differ by the rounding unit times the
frames' condition number squared (ours forms X X'); more than TOLERANCE is a fault, and the exit status is 1.
"""

import argparse
import itertools
import os
import sys
import time

for _name in ("OMP", "OPENBLAS", "MKL", "NUMEXPR"):
    os.environ[f"{_name}_NUM_THREADS"] = "1"
os.environ["TF_NUM_INTRAOP_THREADS"] = os.environ["TF_NUM_INTEROP_THREADS"] = "1"
os.environ["XLA_FLAGS"] = "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1"
os.environ["CUDA_VISIBLE_DEVICES"] = ""
os.environ["JAX_PLATFORMS"] = "cpu"
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
if hasattr(os, "sched_setaffinity"):  # one core, also for pools that read none of the above
    os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

import keras  # noqa: E402
import numpy as np  # noqa: E402
from keras import ops  # noqa: E402

from bod_keras import KoopmanSplit  # noqa: E402
from bod_keras.koopman import linalg  # noqa: E402

BACKEND = keras.backend.backend()
if BACKEND == "tensorflow":
    import tensorflow as tf

    tf.get_logger().setLevel("ERROR")  # notes on retracing: every route is traced once
elif BACKEND == "jax":
    import jax
    import jax.numpy as jnp
else:
    import torch

    torch.set_num_threads(1)

THRESHOLD = 0.1
TOLERANCE = 1e-3
RIVAL = "D x D route"
BEFORE = "closest, by eigenvalues"
INNER = 5  # runs of ours in every repeat; the rival has one


def main():
    args = parse_arguments()
    sizes = itertools.product(args.frames, args.width)
    sys.exit(max([compare(args, frames, width) for frames, width in sizes]))


def compare(args, frames, width):
    """Print the table of one size. Returns the exit status."""
    embeddings, exact = clips(args.batch, frames, width)
    routes = {RIVAL: rival, **our_routes(width)}
    functions = {name: compiled(fn) for name, fn in routes.items()}
    embeddings = ops.convert_to_tensor(embeddings)
    statics = compile_all(functions, embeddings)
    times = measure(functions, embeddings, args.repeats)
    print_table(args, embeddings.shape, times, statics, exact)
    return disagreements(statics)


def parse_arguments():
    parser = argparse.ArgumentParser(description="Time of the Koopman split, on one CPU thread.")
    parser.add_argument("--batch", type=int, default=32, help="B, clips (default %(default)s)")
    for name, usual, text in (("frames", 16, "T, frames"), ("width", 128, "D, width")):
        parser.add_argument(
            f"--{name}", type=int, nargs="+", default=[usual], help=f"{text} (default {usual})"
        )
    parser.add_argument("--repeats", type=int, default=5, help="repeats (default %(default)s)")
    args = parser.parse_args()
    if min(args.frames) < 2 or min(args.width) < max(args.frames) - 1:
        parser.error(
            "the comparison needs T >= 2 and D >= T - 1 (the rival's operator is ridge-free)"
        )
    if min(args.batch, args.repeats) < 1:
        parser.error("--batch and --repeats must be at least 1")
    return args


def clips(batch, frames, width, seed=0):
    """Clips with T-1 orthonormal modes: constant, rotations, and, if T-1 is even, a change of sign.

    Returns:
        Embeddings (B, T, D) and their constant, the exact static part, (B, D), both float32, frames of norm 1.
    """
    rng = np.random.default_rng(seed)
    modes, pairs = frames - 1, (frames - 2) // 2
    time_axis = np.arange(frames)[None, :, None]
    speed = np.linspace(0.4, 2.8, max(pairs, 1))[None, None, :pairs]
    angle = (speed + rng.uniform(-0.05, 0.05, (batch, 1, pairs))) * time_axis
    columns = [np.ones((batch, frames, 1)), np.cos(angle), np.sin(angle)]
    if modes % 2 == 0:
        columns.append(np.broadcast_to((-1.0) ** time_axis, (batch, frames, 1)))
    basis = np.linalg.qr(rng.normal(size=(batch, width, modes)))[0].swapaxes(-1, -2)
    scale = 1.0 / np.sqrt(1 + pairs + (modes % 2 == 0))
    embeddings = scale * np.concatenate(columns, -1) @ basis
    return embeddings.astype("float32"), (scale * basis[:, 0]).astype("float32")


def our_routes(width):
    settings = {
        "closest, P constant": {},
        "threshold, P constant": {"threshold": THRESHOLD},
        "closest, P differentiated": {"projector_gradient": True},
        # What the rival does.
        "threshold, P differentiated": {"threshold": THRESHOLD, "projector_gradient": True},
    }
    routes = {}
    for name, chosen in settings.items():
        layer = KoopmanSplit(ridge=0.0, **chosen)
        routes[name] = _parts(layer, width)
    routes[BEFORE] = _parts(ByEigenvalues(ridge=0.0), width)
    return routes


class ByEigenvalues(KoopmanSplit):
    """The closest eigenvalue as an eigensolver finds it."""

    def static_projector(self, matrix):
        matrix = ops.stop_gradient(matrix)
        distances = linalg.distances_to_one(matrix)
        radius = linalg.closest_radius(distances)
        return linalg.resolvent_projector(matrix, radius), distances[..., 0]


def _parts(layer, width):
    layer.build((None, None, width))

    def parts(embeddings):
        split = layer.split(embeddings)
        return split.static, split.dynamic

    return parts


def rival(embeddings):
    """Static and dynamic part, (B, D) each, by way of the D x D operators."""
    past, future = linalg.transitions(embeddings)
    matrix = ops.matmul(_pinv(past), future)
    values, vectors = _eig(matrix)
    inverse = ops.inv(vectors)
    inside = ops.abs(values - 1.0) <= THRESHOLD
    mean = ops.mean(past, axis=1, keepdims=True)
    parts = []
    for mask in (inside, ops.logical_not(inside)):
        kept = ops.multiply(values, ops.cast(mask, "complex64"))
        operator = ops.real(ops.matmul(ops.multiply(vectors, kept[:, None, :]), inverse))
        parts.append(ops.matmul(mean, operator)[:, 0])
    return tuple(parts)


def _pinv(x):
    if BACKEND == "tensorflow":
        return tf.linalg.pinv(x)
    return jnp.linalg.pinv(x) if BACKEND == "jax" else torch.linalg.pinv(x)


def _eig(x):
    if BACKEND == "tensorflow":
        return tf.linalg.eig(x)
    return jnp.linalg.eig(x) if BACKEND == "jax" else torch.linalg.eig(x)


def compiled(parts):
    """``(forward, gradient)`` of a route, as the backend runs them in training."""
    if BACKEND == "tensorflow":
        return tf.function(parts, autograph=False), tf.function(
            lambda x: _tf_gradient(parts, x), autograph=False
        )
    if BACKEND == "jax":
        gradient = None if parts is rival else jax.jit(jax.grad(lambda x: _loss(parts(x))))
        return jax.jit(parts), gradient
    return lambda x: _torch_forward(parts, x), lambda x: _torch_gradient(parts, x)


def _loss(parts):
    return sum(ops.sum(ops.square(part)) for part in parts)


def _tf_gradient(parts, x):
    with tf.GradientTape() as tape:
        tape.watch(x)
        value = _loss(parts(x))
    return tape.gradient(value, x)


def _torch_forward(parts, x):
    with torch.no_grad():
        return parts(x)


def _torch_gradient(parts, x):
    x = x.detach().requires_grad_(True)
    return torch.autograd.grad(_loss(parts(x)), x)[0]


def compile_all(functions, embeddings):
    """Run everything once, which compiles it. Returns the static parts, ``{name: (B, D)}``."""
    statics = {}
    for name, (forward, gradient) in functions.items():
        statics[name] = ops.convert_to_numpy(forward(embeddings)[0])
        if gradient is not None:
            gradient(embeddings)
    return statics


def measure(functions, embeddings, repeats):
    """Median seconds of every route, ``{name: (forward, gradient or None)}``, all interleaved."""
    samples = {name: ([], []) for name in functions}
    for _ in range(repeats):
        for name, pair in functions.items():
            for _ in range(1 if name == RIVAL else INNER):
                for function, times in zip(pair, samples[name]):
                    if function is not None:
                        times.append(_seconds(function, embeddings))
    return {
        name: tuple(float(np.median(times)) if times else None for times in pair)
        for name, pair in samples.items()
    }


def _seconds(function, embeddings):
    start = time.perf_counter()
    result = function(embeddings)
    for part in result if isinstance(result, tuple) else (result,):
        np.asarray(ops.convert_to_numpy(part))  # waits for JAX
    return time.perf_counter() - start


def print_table(args, shape, times, statics, exact):
    batch, frames, width = shape
    print(
        f"\nbackend {BACKEND}, one thread, B={batch}, T={frames}, D={width}, "
        f"median of {args.repeats} repeats\n"
    )
    head = ("route", "forward", "forward+backward", "ratio", "error", "to rival")
    rows = [_row(name, times, statics, exact) for name in times]
    for cells in (head, *rows):
        print("{:<30}{:>12}{:>19}{:>8}{:>10}{:>10}".format(*cells))
    if times[RIVAL][1] is None:
        print(f"\nThe rival has no gradient on {BACKEND}: ratios are of the forward times.")
    print()


def _row(name, times, statics, exact):
    column = 1 if times[RIVAL][1] is not None else 0
    ratio = times[RIVAL][column] / times[name][column]
    milliseconds = ["-" if t is None else f"{1e3 * t:.2f} ms" for t in times[name]]
    error = np.abs(statics[name] - exact).max()
    apart = np.abs(statics[name] - statics[RIVAL]).max()
    return (name, *milliseconds, f"{ratio:.0f}x", f"{error:.0e}", f"{apart:.0e}")


def disagreements(statics):
    """0, or 1 after naming the routes whose static part is not the rival's."""
    status = 0
    for name, static in statics.items():
        apart = np.abs(static - statics[RIVAL]).max()
        if not apart <= TOLERANCE:
            print(f"FAULT: {name}: |s - s_rival| = {apart:.1e} > {TOLERANCE:.0e}", file=sys.stderr)
            status = 1
    return status


if __name__ == "__main__":
    main()
