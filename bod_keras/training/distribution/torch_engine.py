"""Processes that torchrun started, one a device."""

from __future__ import annotations

import datetime
import os
from typing import Any

import numpy as np
import torch
import torch.distributed as dist

from bod_keras.backend.lost_process_error import LostProcessError
from bod_keras.errors import UserError
from bod_keras.training.distribution.one_process import Distribution


class TorchDistribution(Distribution):
    """The processes of `torch.distributed`; the training step gathers and sums by `torch_replicas`."""

    kind = "torch"

    def __init__(self, devices: int | None, timeout: int):
        if devices is not None:
            raise UserError(
                "On PyTorch every process has one device: choose how many by torchrun --nproc-per-node. "
                f"Received: devices={devices}"
            )
        missing = [n for n in ("RANK", "WORLD_SIZE", "MASTER_ADDR") if n not in os.environ]
        if missing:
            raise UserError(
                f"distribution=torch needs {', '.join(missing)} in the environment, as torchrun sets it: "
                "torchrun --nproc-per-node=8 train.py ..."
            )
        self.timeout = timeout
        gpu = torch.cuda.is_available()
        if gpu:
            torch.cuda.set_device(int(os.environ.get("LOCAL_RANK", 0)))
        with LostProcessError.told():
            dist.init_process_group(
                "cpu:gloo,cuda:nccl" if gpu else "gloo", timeout=datetime.timedelta(seconds=timeout)
            )
        self.rank, self.processes = dist.get_rank(), dist.get_world_size()
        self.replicas = self.processes

    def gather(self, numbers: Any) -> np.ndarray:
        own = torch.from_numpy(np.array(numbers, "int32"))
        parts = [torch.empty_like(own) for _ in range(self.processes)]
        with LostProcessError.told():
            dist.all_gather(parts, own)
        return torch.stack(parts).numpy()

    def close(self) -> None:
        dist.destroy_process_group()
