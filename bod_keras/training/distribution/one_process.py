"""`Distribution`: how a run is spread over devices and processes; this one over nothing."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterable
from typing import Any

import keras
import numpy as np

from bod_keras.errors import UserError


class Distribution:
    """One process and one device; the base of those that are spread further.

    Every process of a run executes the same code in the same order, callbacks included, because on some engines
    even to read or save a variable takes all of them. What differs is the data, each process its block of every
    global batch, and where files and messages go: those of all but the chief are dropped.

    Attributes:
        kind: "none", "mirrored", "multiworker", "jax" or "torch".
        rank, processes: the number of this process, and how many there are.
        replicas: over how many devices of all processes a global batch is divided.
        timeout: seconds after which a process that does not answer is taken for lost.

    Example:
        >>> from bod_keras.training import choose_distribution
        >>> alone = choose_distribution("none")
        >>> alone.is_chief, alone.local_batch(32), alone.gather(7).tolist()
        (True, 32, [7])
    """

    kind = "none"
    rank, processes, replicas = 0, 1, 1
    timeout = 0

    @property
    def is_chief(self) -> bool:
        """Whether this process writes the files and tells what happens."""
        return self.rank == 0

    @property
    def shard(self) -> tuple[int, int]:
        """That of this process' `ClipDataset`."""
        return self.rank, self.processes

    def local_batch(self, batch: int) -> int:
        """How many samples of a global batch this process reads.

        Raises:
            ValueError: a batch that does not divide over the replicas.
        """
        if batch % self.replicas:
            below = batch // self.replicas * self.replicas
            sizes = [size for size in (below, below + self.replicas) if size]
            raise UserError(
                f"The global batch is divided over {self.replicas} replicas. Received: batch_size={batch}. "
                f"Choose {' or '.join(map(str, sizes))}, or another number of replicas."
            )
        return batch // self.processes

    def scope(self) -> contextlib.AbstractContextManager:
        """The context in which a model is made, loaded and compiled."""
        return contextlib.nullcontext()

    def stream(self, data: Any, position: int) -> Iterable:
        """The training batches of a `ClipDataset` of this process, as ``fit`` takes them."""
        if keras.backend.backend() == "tensorflow":
            return data.training(position=position)
        return data.training_numpy(position=position)

    def gather(self, numbers: Any) -> np.ndarray:
        """The int32 numbers, an array of one shape, of all processes: an array with one axis more in front.

        All processes call it, at the same place, and wait for each other.

        Raises:
            LostProcessError: another process is gone.
        """
        return np.asarray(numbers, "int32")[None]

    def gather_objects(self, value: Any) -> list:
        """A value that JSON can hold, of all processes: a list."""
        text = np.frombuffer(json.dumps(value).encode(), "uint8").astype("int32")
        lengths = self.gather(len(text))
        padded = self.gather(np.pad(text, (0, lengths.max() - len(text))))
        return [
            json.loads(row[:length].astype("uint8").tobytes())
            for row, length in zip(padded, lengths)
        ]

    def largest(self, number: int) -> int:
        """The largest of all processes' numbers."""
        return int(self.gather(number).max())

    def check_same(self, number: int, what: str) -> None:
        """Wait for all processes, and compare what they found.

        Raises:
            ValueError: they found different numbers.
        """
        found = self.gather(number).tolist()
        if len(set(found)) > 1:
            raise UserError(
                f"The processes of this run do not see the same {what}: {found}, by their numbers. "
                "Give all of them the same command, and --config.output on storage that all of them share."
            )

    def clear_errors(self) -> contextlib.AbstractContextManager:
        """While training: raise `LostProcessError` instead of the engine's own error."""
        return contextlib.nullcontext()

    def close(self) -> None:
        """Leave the group of processes."""
