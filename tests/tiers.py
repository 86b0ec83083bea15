"""What `make test` runs, and what only `make test-all` does: the tests marked `slow`."""

import pytest

slow = pytest.mark.slow


def slow_unless(condition):
    """A test of the first tier only where `condition` holds, as on one backend of three."""
    return pytest.mark.skipif(False, reason="it is not slow") if condition else slow


def first_of(values, count=1):
    """Parameters of a test: the first `count` values, and the others of the second tier."""
    values = list(values)
    rest = (v if isinstance(v, tuple) else (v,) for v in values[count:])
    return [*values[:count], *(pytest.param(*v, marks=slow) for v in rest)]
