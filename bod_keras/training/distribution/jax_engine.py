"""All devices of one process or of several, by XLA's partitioner."""

from __future__ import annotations

import contextlib
import inspect
import os
from typing import Any

import jax
import keras
import numpy as np
from jax.experimental import multihost_utils

from bod_keras.backend.lost_process_error import LostProcessError
from bod_keras.errors import UserError
from bod_keras.training.distribution.one_process import Distribution


class JaxDistribution(Distribution):
    """`keras.distribution.DataParallel`: steps are those of the joint batch, whose rows lie on all devices."""

    kind = "jax"

    def __init__(self, devices: int | None, timeout: int):
        self.timeout = timeout
        if devices is not None:
            # XLA's threads for all virtual devices together. A LAPACK call takes one and waits there for others
            # to do its work: with as few threads as devices, each in such a call, all wait for ever.
            os.environ.setdefault("NPROC", str(max(os.cpu_count(), 4 * devices)))
            jax.config.update("jax_num_cpu_devices", devices)
        if "JAX_COORDINATOR_ADDRESS" in os.environ:
            self._join(timeout)
        self.rank, self.processes = jax.process_index(), jax.process_count()
        self.replicas = jax.device_count()
        # Each process reads its own block: Keras needs not divide the data.
        self._parallel = keras.distribution.DataParallel(auto_shard_dataset=False)
        self.scope()

    def _join(self, timeout):
        names = ("JAX_COORDINATOR_ADDRESS", "JAX_NUM_PROCESSES", "JAX_PROCESS_ID")
        missing = [name for name in names if name not in os.environ]
        if missing:
            raise UserError(
                f"distribution=jax over several processes needs {', '.join(missing)} in the environment: the "
                "host:port of process 0, how many processes there are, and the number of this one from 0."
            )
        address, count, number = (os.environ[name] for name in names)
        # SIGTERM is ours: the run saves and stops.
        jax.config.update("jax_enable_preemption_service", False)
        jax.config.update("jax_cpu_collectives_implementation", "gloo")
        known = inspect.signature(jax.distributed.initialize).parameters
        wait = {"heartbeat_timeout_seconds": timeout, "initialization_timeout": timeout}
        jax.distributed.initialize(
            address, int(count), int(number), **{k: v for k, v in wait.items() if k in known}
        )

    def scope(self) -> contextlib.AbstractContextManager:
        # For the whole process; again, since keras.utils.clear_session drops it.
        keras.distribution.set_distribution(self._parallel)
        return contextlib.nullcontext()

    def gather(self, numbers: Any) -> np.ndarray:
        with self.clear_errors():
            gathered = multihost_utils.process_allgather(np.asarray(numbers, "int32"))
        return np.asarray(gathered).reshape(self.processes, *np.shape(numbers))

    def clear_errors(self) -> contextlib.AbstractContextManager:
        return LostProcessError.told(jax.errors.JaxRuntimeError)

    def close(self) -> None:
        if self.processes > 1:
            jax.distributed.shutdown()
