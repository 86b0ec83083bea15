"""Several replicas train as one device on the joint batch does, on each engine."""

import keras
import pytest

from tests.distribution import exactness
from tests.tiers import slow_unless

BACKEND = keras.backend.backend()
pytestmark = [
    pytest.mark.xdist_group("replicas"),  # one process: they share the runs
    slow_unless(BACKEND == "torch"),  # a strategy of TensorFlow takes half a minute to trace
]
ENGINES = [e for e in exactness.ENGINES if e.backend == BACKEND]


@pytest.fixture(scope="module")
def one_device(tmp_path_factory):
    return exactness.one_device(tmp_path_factory.mktemp("one"))


@pytest.mark.parametrize("engine", ENGINES, ids=str)
def test_replicas_equal_one_device(engine, one_device, tmp_path):
    """Losses as logged, trained weights, batch statistics, queues, momentum networks, counters."""
    errors = exactness.compare(one_device, exactness.replicas(engine, tmp_path))
    too_large = {
        case: error
        for case, error in errors.items()
        if error.absolute > exactness.ABSOLUTE or error.relative > exactness.RELATIVE
    }
    assert not too_large, too_large
    for case, error in errors.items():
        print(f"{engine}, {case}: {error}")  # for pytest -s
