"""Which record stands at which position of a training stream: a pure function, for one host or many."""

from __future__ import annotations

import collections
import functools
import math
from collections.abc import Sequence

import numpy as np

from bod_keras.data.record import Record
from bod_keras.errors import UserError


class EpochOrder:
    """Maps a position of a run's stream to an epoch and a record, and a host's samples to positions.

    With N records, a global batch of b h, `batch_size` b on each of h hosts, an epoch has
    `steps = N // (b h)` batches. Position g lies in epoch `e = g // (steps b h)`, and holds entry
    `g mod steps b h` of that epoch's seeded order of all N records. Every host takes a block of b of each
    global batch, host 0 the first one. So within an epoch the hosts share nothing, together they leave
    out only the last `N mod (b h)` records, others each time, and a run that continues with another
    number of hosts and the same global batch continues in the same order.

    Entries of one video (equal numbers in `videos`) change places within an epoch, so that no global
    batch holds two of them. A video with more entries than an epoch has batches cannot be parted
    everywhere.

    Args:
        records: number of records N.
        batch_size: samples of a batch on one host.
        seed: of the order, >= 0.
        shard: index of this host and number of hosts.
        videos: the number of the video that each record shows (`video_numbers`); None if all differ.

    Raises:
        UserError: an argument is out of range, or there are fewer videos than a global batch holds.

    Example:
        >>> from bod_keras.data.loading.order import EpochOrder
        >>> hosts = [EpochOrder(12, batch_size=2, shard=(i, 2)) for i in range(2)]
        >>> [[host.position(n) for n in range(6)] for host in hosts]
        [[0, 1, 4, 5, 8, 9], [2, 3, 6, 7, 10, 11]]
    """

    def __init__(
        self,
        records: int,
        batch_size: int,
        seed: int = 0,
        shard: tuple[int, int] = (0, 1),
        videos: Sequence[int] | None = None,
    ):
        index, hosts = shard
        if not 0 <= index < hosts:
            raise UserError(
                "shard must be (index, count) with 0 <= index < count. "
                f"Received: shard={tuple(shard)}"
            )
        self.videos = list(range(records) if videos is None else videos)
        distinct = len(set(self.videos))
        if not 1 <= batch_size * hosts <= distinct:
            raise UserError(
                "batch_size must be between 1 and the number of videos"
                + (f" over the number of hosts, {hosts}" if hosts > 1 else "")
                + f". Received: batch_size={batch_size}, {distinct} videos"
                + (f" in {records} records" if distinct < records else "")
            )
        self.records, self.batch_size, self.seed = records, batch_size, seed
        self.shard = (index, hosts)
        self.steps = records // (batch_size * hosts)
        self._remember()

    def _remember(self) -> None:
        # Two epochs: a batch in flight may straddle them.
        self.entries = functools.lru_cache(maxsize=2)(self._draw)

    def __getstate__(self) -> dict:
        return {name: value for name, value in self.__dict__.items() if name != "entries"}

    def __setstate__(self, state: dict) -> None:
        self.__dict__ |= state
        self._remember()

    def position(self, sample: int) -> int:
        """Give the position of a sample of this host.

        Args:
            sample: number in this host's part of the stream, >= 0.

        Returns:
            Its position in the whole stream.
        """
        index, hosts = self.shard
        step, row = divmod(sample, self.batch_size)
        return (step * hosts + index) * self.batch_size + row

    def locate(self, position: int) -> tuple[int, int]:
        """Give the epoch and the record number of a position.

        Args:
            position: position in the stream of all hosts, >= 0.

        Returns:
            `(epoch, record)`.
        """
        epoch, entry = divmod(position, self.steps * self.batch_size * self.shard[1])
        return epoch, int(self.entries(epoch)[entry])

    def _draw(self, epoch: int) -> np.ndarray:
        # Four words, so that it is no `sample_rng` of this epoch.
        rng = np.random.default_rng([self.seed, epoch, 0, 1])
        entries = rng.permutation(self.records)
        if len(set(self.videos)) < self.records:
            self._part(entries)
        return entries

    def _part(self, entries: np.ndarray) -> None:
        """Exchange entries so that no global batch holds a video twice."""
        size = self.batch_size * self.shard[1]
        videos = np.asarray(self.videos)[entries]
        inside = [
            collections.Counter(videos[i : i + size].tolist()) for i in range(0, len(videos), size)
        ]
        if len(videos) % size:
            inside[-1] = collections.Counter()  # the rest, which no batch holds
        for place in range(self.steps * size):
            here, video = inside[place // size], videos[place]
            if here[video] < 2:
                continue
            for offset in range(1, len(videos)):
                other = (place + offset) % len(videos)
                there, guest = inside[other // size], videos[other]
                rest = other >= self.steps * size
                if there is here or here[guest] or (there[video] and not rest):
                    continue
                here[video] -= 1
                here[guest] += 1
                if not rest:
                    there[guest] -= 1
                    there[video] += 1
                for array in (entries, videos):
                    array[[place, other]] = array[[other, place]]
                break


def video_numbers(records: Sequence[Record]) -> list[int]:
    """Number the videos that records show.

    Records show one video if they name the same path and their spans overlap, directly or by way of other
    records. A record without a span is the whole file. Parts of a file that do not overlap are different
    videos.

    Args:
        records: the records.

    Returns:
        A number for each record, equal where they show one video.

    Example:
        >>> from bod_keras.data import Record
        >>> from bod_keras.data.loading.order import video_numbers
        >>> video_numbers([Record("a", span=(0, 2)), Record("a", span=(2, 4)), Record("b"), Record("b")])
        [0, 1, 2, 2]
    """
    whole = (-math.inf, math.inf)
    order = sorted(range(len(records)), key=lambda i: (records[i].path, records[i].span or whole))
    first: dict[int, int] = {}  # record -> the first one that shows its video
    path, end, head = None, -math.inf, 0
    for i in order:
        begin, last = records[i].span or whole
        if records[i].path != path or begin >= end:
            path, end, head = records[i].path, last, i
        end = max(end, last)
        first[i] = head
    numbers: dict[int, int] = {}
    return [numbers.setdefault(first[i], len(numbers)) for i in range(len(records))]
