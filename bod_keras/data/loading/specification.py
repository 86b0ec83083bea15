"""What a run asks input workers to read, as JSON: nothing that is received is unpickled."""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from bod_keras.data.augment.augment import ClipAugment
from bod_keras.data.loading.order import EpochOrder
from bod_keras.data.loading.reader import ClipReader
from bod_keras.data.record import Record
from bod_keras.errors import UserError
from bod_keras.version import __version__


@dataclasses.dataclass(frozen=True)
class Specification:
    """The samples of a training stream: what is read at which position, and how.

    Args:
        records: the videos.
        order: which of them is read at which position.
        reader: what reads it, from files.
        views: clips of a sample.
        shape: of the clips of a sample.

    Example:
        >>> from bod_keras.data import Record, augmentation
        >>> from bod_keras.data.loading.order import EpochOrder
        >>> from bod_keras.data.loading.reader import ClipReader
        >>> from bod_keras.data.loading.specification import Specification
        >>> augment = augmentation("none", 16)
        >>> reader = ClipReader(8, 1, 0, augment, augment)
        >>> records = [Record("a.mp4"), Record("b.mp4")]
        >>> sent = Specification(records, EpochOrder(2, 1), reader, 2, (2, 8, 16, 16, 3)).to_json()
        >>> Specification.from_json(sent).reader == reader
        True
    """

    records: Sequence[Record]
    order: EpochOrder
    reader: ClipReader
    views: int
    shape: tuple[int, ...]

    def to_json(self) -> bytes:
        """Write the specification: of the records only what reading needs, path and span."""
        order, reader = self.order, self.reader
        repeated = len(set(order.videos)) < order.records
        return json.dumps(
            {
                "program": program(),
                "records": [[record.path, record.span] for record in self.records],
                "views": self.views,
                "shape": self.shape,
                "order": {
                    "records": order.records,
                    "batch_size": order.batch_size,
                    "seed": order.seed,
                    "shard": order.shard,
                    "videos": order.videos if repeated else None,
                },
                "reader": {
                    "frames": reader.frames,
                    "stride": reader.stride,
                    "seed": reader.seed,
                    "augment": dataclasses.asdict(reader.augment),
                    "center": dataclasses.asdict(reader.center),
                    "cache_mb": reader.cache_mb,
                },
            }
        ).encode()

    @classmethod
    def from_json(cls, sent: bytes) -> Specification:
        """Read a specification that came over the network.

        Raises:
            UserError: it is none, or one of another version of the package, or of changed code.
        """
        try:
            found = json.loads(sent)
            theirs = str(found.get("program") or found["version"])
        except (ValueError, AttributeError, TypeError, KeyError):
            raise UserError(
                f"What came is no specification of clips to read: {len(sent)} bytes that are not its JSON"
            ) from None
        if theirs != program():
            raise UserError(
                f"an input worker has bod_keras {program()}, its run has {theirs[:80]}. Install the "
                "same on both, and start the worker again"
            )
        try:
            reader = dict(found["reader"])
            records = [Record(str(path), span=_tuple(span)) for path, span in found["records"]]
            for name in ("augment", "center"):
                settings = {key: _tuple(value) for key, value in reader[name].items()}
                reader[name] = ClipAugment(**settings)
            order = {key: _tuple(value) for key, value in found["order"].items()}
            shape = tuple(int(length) for length in found["shape"])
            views = int(found["views"])
            return cls(records, EpochOrder(**order), ClipReader(**reader), views, shape)
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise UserError(f"What came is no specification of clips to read: {error}") from None


@functools.cache
def program() -> str:
    """Name the version of the package, and the code by which it reads clips as it was at the first call.

    Example:
        >>> from bod_keras.data.loading.specification import program
        >>> program().endswith(")")
        True
    """
    root, digest = Path(__file__).parents[2], hashlib.sha256()
    for room in ("data", "storage", "views"):
        for path in sorted((root / room).rglob("*.py")):
            digest.update(path.relative_to(root).as_posix().encode() + path.read_bytes())
    return f"{__version__} (code {digest.hexdigest()[:8]})"


def _tuple(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value
