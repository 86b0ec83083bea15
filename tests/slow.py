"""What takes long is left out unless SLOW_TESTS=1 is set, as `make test SLOW_TESTS=1` does."""

import os

import pytest

SLOW = os.environ.get("SLOW_TESTS") == "1"
slow = pytest.mark.skipif(not SLOW, reason="SLOW_TESTS=1 runs it")
