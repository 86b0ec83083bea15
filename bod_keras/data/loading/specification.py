"""What a run asks input workers to read, as JSON: nothing that is received is unpickled."""

from __future__ import annotations

import dataclasses
import json
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
        order: what is read at which position.
        reader: what reads it, from files.
        views: clips of a sample.
        shape: of the clips of a sample.
        version: of the package that wrote it.

    Example:
        >>> from bod_keras.data import Record, augmentation
        >>> from bod_keras.data.loading.order import EpochOrder
        >>> from bod_keras.data.loading.reader import ClipReader
        >>> from bod_keras.data.loading.specification import Specification
        >>> augment = augmentation("none", 16)
        >>> reader = ClipReader([Record("a.mp4"), Record("b.mp4")], 8, 1, 0, augment, augment, 0)
        >>> sent = Specification(EpochOrder(2, 1), reader, 2, (2, 8, 16, 16, 3)).to_json()
        >>> Specification.from_json(sent).reader == reader
        True
    """

    order: EpochOrder
    reader: ClipReader
    views: int
    shape: tuple[int, ...]
    version: str = __version__

    def to_json(self) -> bytes:
        """Write the specification: of the records only what reading needs, path and span."""
        order, reader = self.order, self.reader
        repeated = len(set(order.videos)) < order.records
        return json.dumps(
            {
                "version": self.version,
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
                    "records": [[record.path, record.span] for record in reader.records],
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
            UserError: it is none, or one of another version of the package.
        """
        try:
            found = json.loads(sent)
            version = str(found["version"])
        except (ValueError, TypeError, KeyError):
            raise UserError(
                f"What came is no specification of clips to read: {len(sent)} bytes that are not its JSON"
            ) from None
        if version != __version__:
            raise UserError(
                f"an input worker has bod_keras {__version__}, the run that it reads for {version}"
            )
        try:
            reader = dict(found["reader"])
            reader["records"] = [
                Record(str(path), span=_tuple(span)) for path, span in reader["records"]
            ]
            for name in ("augment", "center"):
                settings = {key: _tuple(value) for key, value in reader[name].items()}
                reader[name] = ClipAugment(**settings)
            order = {key: _tuple(value) for key, value in found["order"].items()}
            shape = tuple(int(length) for length in found["shape"])
            return cls(EpochOrder(**order), ClipReader(**reader), int(found["views"]), shape)
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise UserError(f"What came is no specification of clips to read: {error}") from None


def _tuple(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value
