"""What `make test` runs, and what only `make test-all` does: the tests marked `slow`."""

import pytest

slow = pytest.mark.slow


def slow_unless(condition):
    """A test of the first tier only where `condition` holds, as on one backend of three."""
    return pytest.mark.skipif(False, reason="it is not slow") if condition else slow
