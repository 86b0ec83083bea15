"""Which record stands at which position of a training stream: a pure function, for one host or many."""

from __future__ import annotations

import functools
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
    out only the last `N mod (b h)` records, others each time, and a run that goes on with another
    number of hosts and the same global batch goes on in the same order.

    Without groups the order is a permutation. With groups (classes, or data sets) it has N entries,
    of which group k gets the share p_k, to within one: the group's records in a random order, again
    from the beginning if they do not suffice, spread evenly over the epoch (entry j of n_k is
    sorted by (j + u) / n_k, with u uniform in [0, 1)).

    Args:
        records: number of records N.
        batch_size: samples of a batch on one host.
        seed: of the order, >= 0.
        shard: index of this host and number of hosts.
        groups: the record numbers of each group; None for none.
        shares: weight of each group, > 0; they need not sum to 1. None for equal ones.

    Raises:
        ValueError: if an argument is out of range, or if a group is so small that a record would
            stand twice in a global batch.

    Example:

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
        groups: Sequence[Sequence[int]] | None = None,
        shares: Sequence[float] | None = None,
    ):
        index, hosts = shard
        if not 0 <= index < hosts:
            raise UserError(
                "shard must be (index, count) with 0 <= index < count. "
                f"Received: shard={tuple(shard)}"
            )
        if not 1 <= batch_size * hosts <= records:
            raise UserError(
                "batch_size must be between 1 and the number of videos"
                + (f" over the number of hosts, {hosts}" if hosts > 1 else "")
                + f". Received: batch_size={batch_size}, {records} videos"
            )
        self.records, self.batch_size, self.seed = records, batch_size, seed
        self.shard = (index, hosts)
        self.steps = records // (batch_size * hosts)
        self._groups = None if groups is None else [np.asarray(group) for group in groups]
        if self._groups is not None:
            self._slots = _allot(shares or [1.0] * len(groups), records)
            self._check_repetition()
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
        if self._groups is None:
            return rng.permutation(self.records)
        entries, keys = [], []
        for members, slots in zip(self._groups, self._slots):
            counter = np.arange(slots)
            entries.append(rng.permutation(members)[counter % len(members)])
            keys.append((counter + rng.random(slots)) / max(1, slots))
        return np.concatenate(entries)[np.argsort(np.concatenate(keys), kind="stable")]

    def _check_repetition(self) -> None:
        """Two clips of one video in a batch would be contrasted as if they were two videos."""
        batch = self.batch_size * self.shard[1]
        for members, slots in zip(self._groups, self._slots):
            if slots <= len(members):
                continue
            # Entries j and j + len(members) are one record, at least this many positions apart.
            room = int((len(members) - 1) * self.records / slots)
            if batch > room:
                raise UserError(
                    f"A group of {len(members)} videos gets {slots} of the {self.records} places "
                    "of an epoch, so that a video would stand twice in a batch. Lower the batch "
                    f"size (all hosts together) to at most {room}, or the group's weight. "
                    f"Received: {batch}"
                )


def record_groups(
    parts: Sequence[Sequence[Record]], weights: Sequence[float] | None, class_balanced: bool
) -> dict:
    """Give the groups and shares of an `EpochOrder`: mixed data sets, or classes, or none.

    Args:
        parts: one or several data sets, whose records are counted through.
        weights: one for each of several data sets, or None.
        class_balanced: whether each label is a group.

    Returns:
        Keyword arguments of `EpochOrder`.

    Raises:
        ValueError: if the arguments do not go together, or a record has no label.

    Example:

    >>> record_groups([["a", "b"], ["c"]], (1.0, 3.0), class_balanced=False)
    {'groups': [[0, 1], [2]], 'shares': [1.0, 3.0]}
    """
    if weights and (len(parts) < 2 or len(parts) != len(weights)):
        raise UserError(
            "weights must hold one number for each of several data sets. "
            f"Received: {len(weights)} weights, {len(parts)} data set(s)"
        )
    if class_balanced and weights:
        raise UserError("class_balanced and weights exclude each other. Received: both")
    if class_balanced:
        labels = [record.label for part in parts for record in part]
        if None in labels:
            raise UserError(
                "class_balanced needs a label of every video. "
                f"Received: {labels.count(None)} of {len(labels)} without one"
            )
        return {
            "groups": [np.flatnonzero(np.equal(labels, label)) for label in sorted(set(labels))]
        }
    if weights:
        ends = np.cumsum([len(part) for part in parts]).tolist()
        groups = [list(range(end - len(part), end)) for part, end in zip(parts, ends)]
        return {"groups": groups, "shares": list(weights)}
    return {}


def _allot(shares: Sequence[float], total: int) -> np.ndarray:
    """Whole numbers in proportion to the shares that sum to `total` (largest remainders)."""
    shares = np.asarray(shares, np.float64)
    if not (shares > 0).all() or not np.isfinite(shares).all():
        raise UserError(f"weights must be positive numbers. Received: {shares.tolist()}")
    exact = shares / shares.sum() * total
    slots = np.floor(exact).astype(int)
    slots[np.argsort(slots - exact, kind="stable")[: total - slots.sum()]] += 1
    return slots
