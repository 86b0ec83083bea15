"""The training stream as PyTorch's DataLoader."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np

from bod_keras.endless import mark_endless
from bod_keras.errors import UserError

try:
    import torch
    from torch.utils import data
except ImportError as error:
    raise ImportError(
        "ClipDataset.torch_loader needs PyTorch: pip install 'bod-keras[torch]'. training_numpy() does not."
    ) from error


def torch_loader(
    stream: Callable[[], Iterator[tuple[dict[str, np.ndarray]]]], endless: bool, pin_memory: bool
) -> data.DataLoader:
    """Make a `torch.utils.data.DataLoader` of batches of NumPy arrays.

    Args:
        stream: makes the iterator of 1-tuples of dicts, anew for each pass over the loader.
        endless: whether that has no end.
        pin_memory: as in `DataLoader`.
    """
    # Its batches come whole, from processes of their own.
    loader = data.DataLoader(_Batches(stream), batch_size=None, pin_memory=pin_memory)
    return mark_endless(loader) if endless else loader


class _Batches(data.IterableDataset):
    def __init__(self, stream):
        super().__init__()
        self._stream = stream

    def __iter__(self):
        if data.get_worker_info() is not None:
            raise UserError(
                "Every worker of a DataLoader would read all batches. Leave its num_workers at 0, and set the "
                "workers of the ClipDataset."
            )
        for (batch,) in self._stream():
            yield {name: torch.from_numpy(values) for name, values in batch.items()}
