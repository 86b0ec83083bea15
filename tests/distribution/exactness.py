"""The runs that are compared, and by how much they differ.

    KERAS_BACKEND=torch python -m tests.distribution.exactness

prints the table of all engines of a backend, in every case.
"""

import tempfile
from collections import namedtuple
from pathlib import Path

import keras
import numpy as np

from tests.distribution import launch, run_steps
from tests.parity.run_steps import BATCH

FLOOR = 0.01  # of an array's largest entry: biases before batch normalization have no gradient but rounding
# Rounding of float32, which three steps multiply, and low temperatures; most are below a tenth of it.
ABSOLUTE, RELATIVE = 1e-5, 1e-4

Error = namedtuple("Error", "absolute relative name")
Error.__doc__ = (
    "A case's largest difference, over its array's largest entry if that is above 1; the largest one over that "
    "entry always; and of which array."
)


class Engine(namedtuple("Engine", "backend kind processes devices")):
    """A distribution: its backend and kind, how many processes, and virtual devices of each (0: one)."""

    def __str__(self):
        spread = [f"{self.processes} processes"] if self.processes > 1 else []
        spread += [f"{self.devices} devices"] if self.devices else []
        return f"{self.kind}, {' of '.join(spread)}"


ENGINES = [
    Engine("tensorflow", "mirrored", 1, 2),
    Engine("tensorflow", "multiworker", 2, 0),
    Engine("jax", "jax", 1, 2),
    Engine("torch", "torch", 2, 0),
]
MORE = [
    Engine("tensorflow", "mirrored", 1, 4),
    Engine("tensorflow", "multiworker", 2, 2),
    Engine("tensorflow", "multiworker", 4, 0),
    Engine("jax", "jax", 2, 0),
    Engine("jax", "jax", 1, 4),
    Engine("jax", "jax", 2, 2),
    Engine("torch", "torch", 4, 0),
]

# What the tests compare; tracing and compiling take the time. PyTorch does neither, so there are more.
CASES = {
    "mirrored": ["v-SimCLR, recommended"],
    "multiworker": ["v-MoCo"],
    "jax": ["v-SimCLR, recommended"],
    "torch": [
        "v-SimCLR, recommended",
        "v-SimCLR, own views",
        "v-SimCLR, all",
        "v-MoCo",
        "v-SwAV",
        "v-BYOL, chunks",
    ],
}


def one_device(folder, cases=None):
    """``{case/name: array}`` of one device; without cases, for those that this backend's tests compare."""
    engines = [engine for engine in ENGINES if engine.backend == keras.backend.backend()]
    cases = cases or sorted({case for engine in engines for case in CASES[engine.kind]})
    return _run(Engine(keras.backend.backend(), "none", 1, 0), folder, cases)


def replicas(engine, folder, cases=None):
    """The same of a distribution."""
    cases = cases or CASES[engine.kind]
    # One video each, of which there are no chunks.
    if engine.processes * max(engine.devices, 1) == BATCH:
        cases = [case for case in cases if "chunks" not in case]
    return _run(engine, folder, cases)


def _run(engine, folder, cases):
    path = Path(folder) / "steps.npz"
    command = ["-m", "tests.distribution.run_steps", engine.kind, str(engine.devices), str(path)]
    running = launch.start([*command, *cases], engine.kind, engine.processes)
    codes, outputs = launch.finish(running)
    if any(codes):
        raise RuntimeError(
            f"{engine} ended with {codes}:\n" + "\n".join(o[-3000:] for o in outputs)
        )
    return dict(np.load(path))


def compare(one, several):
    """The `Error` of each case."""
    errors = {}
    for key, value in several.items():
        case, name = key.split("/")
        difference = np.nan_to_num(np.abs(one[key] - value).max(), nan=np.inf)
        largest = np.abs(one[key]).max()
        before = errors.get(case, Error(0.0, -1.0, ""))
        absolute = max(before.absolute, difference / max(largest, 1.0))
        relative, name = max(before[1:], (difference / max(largest, FLOOR), name))
        errors[case] = Error(float(absolute), float(relative), name)
    return errors


def main():
    print(f"{'distribution':28} {'case':42} absolute relative of")
    with tempfile.TemporaryDirectory() as folder:
        one = one_device(folder, run_steps.CASES)
        for engine in ENGINES + MORE:
            if engine.backend == keras.backend.backend():
                for case, error in compare(one, replicas(engine, folder, run_steps.CASES)).items():
                    sizes = f"{error.absolute:.1e}  {error.relative:.1e}"
                    print(f"{str(engine):28} {case:42} {sizes}  {error.name}", flush=True)


if __name__ == "__main__":
    main()
