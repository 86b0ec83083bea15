"""Collectives of `torch.distributed` inside of a training step, each differentiable twice.

    sum:     y = sum_r x_r                    dx_r = sum_q dy_q
    gather:  y = concatenate(x_0, ..., x_n)   dx_r = rows r of sum_q dy_q

for what all processes compute from y, each its share. PyTorch's own ones can be differentiated once.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator
from typing import Any

import torch
import torch.distributed as dist

from bod_keras.backend.lost_process_error import LostProcessError

_in_step = False


@contextlib.contextmanager
def step() -> Iterator[None]:
    """What runs inside is one replica's part of a joint step; elsewhere every process is on its own."""
    global _in_step
    _in_step, before = True, _in_step
    try:
        yield
    finally:
        _in_step = before


def replicas() -> int:
    """Over how many processes the current step goes; 1 outside of one."""
    return dist.get_world_size() if _in_step and _is_initialized() else 1


def rank() -> int:
    """The number of this process."""
    return dist.get_rank() if _is_initialized() else 0


def gather(x: Any) -> Any:
    """The rows of all processes."""
    return _Gather.apply(x)


def sum_over_replicas(tensors: Iterable) -> Any:
    """The sums of equally shaped tensors; those of one type as one message."""
    kinds = {}
    for index, x in enumerate(tensors):
        kinds.setdefault(x.dtype, []).append(index)
    sums = [None] * len(tensors)
    for places in kinds.values():
        total = _Sum.apply(torch.cat([tensors[i].reshape(-1) for i in places]))
        parts = total.split([tensors[i].numel() for i in places])
        for i, part in zip(places, parts):
            sums[i] = part.reshape(tensors[i].shape)
    return sums


class _Sum(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        total = x.contiguous().clone()
        with LostProcessError.told():
            dist.all_reduce(total)
        return total

    @staticmethod
    def backward(ctx, slope):
        return _Sum.apply(slope)


class _Gather(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        x = x.contiguous()
        ctx.rows = x.shape[0]
        parts = [torch.empty_like(x) for _ in range(dist.get_world_size())]
        with LostProcessError.told():
            dist.all_gather(parts, x)
        return torch.cat(parts)

    @staticmethod
    def backward(ctx, slope):
        return _Sum.apply(slope).narrow(0, dist.get_rank() * ctx.rows, ctx.rows)


def _is_initialized():
    return dist.is_available() and dist.is_initialized()
