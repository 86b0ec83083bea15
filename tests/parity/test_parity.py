"""TensorFlow, JAX and PyTorch, eager and compiled: equal losses, gradients and weights after three steps.

Every backend trains in a process of its own (`run_steps.py`); ``pytest -s tests/parity`` prints the errors.
"""

import importlib.util
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from tests.parity.run_steps import CASES, EXECUTIONS

pytestmark = pytest.mark.xdist_group("parity")  # one process: they share the runs
TOLERANCE = 1e-4
# By how much the weights moved is a small difference of large numbers: their rounding alone is 4e-5 of it. And
# in the velocities three steps have multiplied the rounding of the first one.
TOLERANCES = {"update": 3e-4, "momentum": 1e-3}
# Relative errors are of a tensor's largest entry, or of this times the largest entry of all its tensors: the
# gradient of a bias before batch normalization is zero by construction, and what is left of it is the rounding
# of terms that cancel, which the lower level's finite difference multiplies: up to 3e-6 of the largest tensor.
# Relative to itself it would be a comparison of noise.
FLOOR = 5e-2
KINDS = ("loss", "gradient", "update", "weight", "momentum", "state")
PAIRS = [
    (("tensorflow", "eager"), ("jax", "eager")),
    (("tensorflow", "eager"), ("torch", "eager")),
    (("jax", "eager"), ("torch", "eager")),
    (("tensorflow", "graph"), ("jax", "jit")),
    (("tensorflow", "eager"), ("tensorflow", "graph")),
    (("tensorflow", "eager"), ("tensorflow", "xla")),
    (("jax", "eager"), ("jax", "jit")),
]
BACKENDS = ("tensorflow", "jax", "torch")
MISSING = [name for name in BACKENDS if importlib.util.find_spec(name) is None]


def run(backend, path):
    """Train on one backend; (backend, execution, case) to kinds, or what went wrong, a string."""
    # On the CPU: the matrix products of a GPU have fewer digits than 1e-4 leaves room for.
    environment = {
        **os.environ,
        "KERAS_BACKEND": backend,
        "CUDA_VISIBLE_DEVICES": "-1",
        "JAX_PLATFORMS": "cpu",
        "KERAS_TORCH_DEVICE": "cpu",
    }
    command = [sys.executable, "-m", "tests.parity.run_steps", str(path)]
    root = Path(__file__).parents[2]
    done = subprocess.run(command, cwd=root, env=environment, capture_output=True, text=True)
    if done.returncode:
        return f"{backend} did not finish: {done.stderr[-3000:]}"
    print("", done.stdout, sep="\n", end="")
    results = {}
    for key, value in np.load(path).items():
        execution, case, kind, name = key.split("/")
        results.setdefault((backend, execution, case), {}).setdefault(kind, {})[name] = value
    return results


def relative_errors(one, other):
    """Largest difference of two dicts of arrays, relative as `FLOOR` says, for every name."""
    assert one.keys() == other.keys()
    sizes = {name: np.abs(array).max() for name, array in one.items()}
    floor = max(FLOOR * max(sizes.values()), 1e-12)
    return {
        name: np.nan_to_num(np.abs(one[name] - other[name]).max() / max(size, floor), nan=np.inf)
        for name, size in sizes.items()
    }


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    """What `run` returns for every backend."""
    if MISSING:
        pytest.skip(f"{' and '.join(MISSING)} not installed: run make test-parity")
    folder = tmp_path_factory.mktemp("steps")
    with ThreadPoolExecutor(2) as pool:
        of_backends = pool.map(lambda name: run(name, folder / f"{name}.npz"), BACKENDS)
    results = dict(zip(BACKENDS, of_backends))
    print_table(results)
    return results


def print_table(results):
    """The worst relative error of every case, pair and kind, for ``pytest -s``."""
    for pair in PAIRS:
        tables = [results.get(backend) for backend, _ in pair]
        if not all(isinstance(table, dict) for table in tables):
            continue
        print(f"\n{' - '.join(map(' '.join, pair)):42}", *(f"{kind:>8}" for kind in KINDS))
        for case in cases_of(pair):
            one, other = (table[(*side, case)] for table, side in zip(tables, pair))
            worst = [max(relative_errors(one[kind], other[kind]).values()) for kind in KINDS]
            print(f"  {case:40}", *(f"{error:8.1e}" for error in worst))


def cases_of(pair):
    return [case for case in CASES if all(case in EXECUTIONS[side] for side in pair)]


@pytest.mark.parametrize(
    "pair, case",
    [
        pytest.param(pair, case, id=f"{'-'.join(map('_'.join, pair))}: {case}")
        for pair in PAIRS
        for case in cases_of(pair)
    ],
)
def test_losses_gradients_and_weights_agree(pair, case, results):
    for backend, _ in pair:
        assert isinstance(results[backend], dict), results[backend]
    one, other = (results[backend][backend, execution, case] for backend, execution in pair)
    np.testing.assert_equal(one["count"], other["count"])
    too_large = {
        f"{kind} of {name}": error
        for kind in KINDS
        for name, error in relative_errors(one[kind], other[kind]).items()
        if not error <= TOLERANCES.get(kind, TOLERANCE)
    }
    assert not too_large, f"relative errors: {too_large}"
    # A comparison of models that stand still would say nothing.
    assert max(np.abs(move).max() for move in one["update"].values()) > 1e-2
