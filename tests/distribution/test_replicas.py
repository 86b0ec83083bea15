"""Two replicas of `tf.distribute.MirroredStrategy` train as one device on the joint batch does."""

import os
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest

if keras.backend.backend() != "tensorflow":
    pytest.skip("tf.distribute strategies", allow_module_level=True)

from tests.distribution.run_replicas import CASES

pytestmark = pytest.mark.xdist_group("replicas")  # one process: they share the run
TOLERANCE = 1e-4  # of an array's largest entry
FLOOR = 1e-3  # or of this: biases before batch normalisation have no gradient but rounding


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    """(case, replicas) to named arrays; from a process of its own, since it sets virtual devices."""
    path = tmp_path_factory.mktemp("replicas") / "steps.npz"
    done = subprocess.run(
        [sys.executable, "-m", "tests.distribution.run_replicas", str(path)],
        cwd=Path(__file__).parents[2],
        env={**os.environ, "CUDA_VISIBLE_DEVICES": "-1"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    results = {}
    for key, value in np.load(path).items():
        case, replicas, name = key.split("/")
        results.setdefault((case, int(replicas)), {})[name] = value
    return results


@pytest.mark.parametrize("case", CASES)
def test_two_replicas_equal_one_device(case, results):
    """Losses as logged, trained weights, batch statistics, queues, momentum networks, counters."""
    one, two = results[case, 1], results[case, 2]
    assert one.keys() == two.keys()
    errors = {
        name: np.abs(one[name] - two[name]).max() / max(np.abs(one[name]).max(), FLOOR)
        for name in one
    }
    too_large = {name: error for name, error in errors.items() if not error <= TOLERANCE}
    assert not too_large, f"relative errors: {too_large}"
    queues = [one[name] for name in one if name.endswith("_queue.rows")]
    assert all(np.linalg.norm(rows, axis=1) == pytest.approx(1.0) for rows in queues)  # full
    print(f"{case}: {max(errors.values()):.1e}")  # for pytest -s
