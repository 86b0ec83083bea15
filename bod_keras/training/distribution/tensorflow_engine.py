"""The strategies of `tf.distribute`: the devices of one machine, or of several."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Iterable
from typing import Any

import numpy as np
import tensorflow as tf

from bod_keras.backend.lost_process_error import LostProcessError
from bod_keras.errors import UserError
from bod_keras.training.distribution.one_process import Distribution


class _Strategy(Distribution):
    def __init__(self, devices, timeout):
        self.timeout = timeout
        if devices is not None:
            cpu = tf.config.list_physical_devices("CPU")[0]
            tf.config.set_logical_device_configuration(
                cpu, [tf.config.LogicalDeviceConfiguration()] * devices
            )
        self._strategy = self._make(devices)
        self.replicas = self._strategy.num_replicas_in_sync

    def scope(self):
        return self._strategy.scope()


class Mirrored(_Strategy):
    """All GPUs of this machine; Keras divides each batch over them."""

    kind = "mirrored"

    def _make(self, devices):
        names = devices and [f"CPU:{index}" for index in range(devices)]
        return tf.distribute.MirroredStrategy(names)


class MultiWorker(_Strategy):
    """The machines of ``TF_CONFIG``, with all GPUs of each."""

    kind = "multiworker"

    def _make(self, devices):
        try:
            config = json.loads(os.environ.get("TF_CONFIG") or "{}")
            workers, task = config["cluster"]["worker"], config["task"]
            self.rank, self.processes = int(task["index"]), len(workers)
            sound = task["type"] == "worker" and set(config["cluster"]) == {"worker"}
        except (KeyError, TypeError, ValueError):
            sound = False
        if not sound:
            raise UserError(
                "distribution=multiworker needs TF_CONFIG in the environment: "
                '{"cluster": {"worker": ["host0:port", "host1:port"]}, '
                '"task": {"type": "worker", "index": 0}}, the index counting the machines, from the chief on. '
                f"Received: {os.environ.get('TF_CONFIG')}"
            )
        options = tf.distribute.experimental.CommunicationOptions(timeout_seconds=self.timeout)
        return tf.distribute.MultiWorkerMirroredStrategy(communication_options=options)

    def stream(self, data: Any, position: int) -> Iterable:
        # Keras would have every worker read and divide the global batch; here each reads its block of it.
        here = self.replicas // self.processes

        def make(_):
            return data.training(position=position).rebatch(data.batch_size // here, True)

        return self._strategy.distribute_datasets_from_function(make)

    def gather(self, numbers: Any) -> np.ndarray:
        own = np.zeros((self.processes, *np.shape(numbers)), "int32")
        own[self.rank] = numbers
        with self.clear_errors():
            return self._sum(tf.constant(own)).numpy() // (self.replicas // self.processes)

    @tf.function(reduce_retracing=True)
    def _sum(self, own):
        values = self._strategy.run(lambda: tf.identity(own))
        return self._strategy.reduce(tf.distribute.ReduceOp.SUM, values, axis=None)

    def clear_errors(self) -> contextlib.AbstractContextManager:
        return LostProcessError.told(
            (
                tf.errors.UnavailableError,
                tf.errors.InternalError,
                tf.errors.AbortedError,
                tf.errors.DeadlineExceededError,
            )
        )
