"""`LostProcessError`: the error in the other processes of a job when one of them is gone."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any


class LostProcessError(ConnectionError):
    """Another process of a distributed run ended, or did not answer in time."""

    @classmethod
    @contextlib.contextmanager
    def told(cls, kinds: Any = RuntimeError) -> Iterator[None]:
        """Raise it instead of an engine's own errors, of one kind or a tuple of them."""
        try:
            yield
        except kinds as error:
            reason = (str(error).strip() or type(error).__name__).splitlines()[0][:200]
            raise cls(
                "Another process of this run ended or did not answer in time; its own output says why. Start "
                "all of them again: the run resumes from its last checkpoint, also with another number of "
                f"processes. The engine said: {reason}"
            ) from error
