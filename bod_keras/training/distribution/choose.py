"""Which distribution a run uses: as it was asked for, or as the environment says."""

from __future__ import annotations

import importlib
import os

import keras

from bod_keras.errors import UserError, check_choice
from bod_keras.training.distribution.one_process import Distribution

_ENGINES = {
    "mirrored": ("tensorflow", "tensorflow_engine", "Mirrored"),
    "multiworker": ("tensorflow", "tensorflow_engine", "MultiWorker"),
    "jax": ("jax", "jax_engine", "JaxDistribution"),
    "torch": ("torch", "torch_engine", "TorchDistribution"),
}
KINDS = ("auto", "none", *_ENGINES)


def choose_distribution(
    kind: str = "auto", devices: int | None = None, timeout: int = 120
) -> Distribution:
    """Join the processes and devices of a run; before anything else is made on a device.

    * ``"mirrored"``: all GPUs of this machine, by `tf.distribute.MirroredStrategy`;
    * ``"multiworker"``: the machines of ``TF_CONFIG``, by `tf.distribute.MultiWorkerMirroredStrategy`;
    * ``"jax"``: all devices of this machine, or of the ``JAX_NUM_PROCESSES`` processes of
      ``JAX_COORDINATOR_ADDRESS``, this one being ``JAX_PROCESS_ID``, by `keras.distribution.DataParallel`;
    * ``"torch"``: the processes that torchrun started, by `torch.distributed`;
    * ``"none"``: one device;
    * ``"auto"``: what those variables say; otherwise all local GPUs, of TensorFlow and JAX.

    Args:
        kind: as above.
        devices: virtual CPU devices of this process instead of GPUs, for tests, on TensorFlow and JAX.
        timeout: seconds after which a process that does not answer is taken for lost.

    Returns:
        A `Distribution`.

    Raises:
        ValueError: an unknown kind, one of another backend, or an environment that does not go with it.

    Example:
        >>> from bod_keras.training import choose_distribution
        >>> choose_distribution("none").replicas
        1
    """
    check_choice("distribution", kind, KINDS)
    backend = keras.backend.backend()
    if kind == "auto":
        kind = _from_environment(backend, devices)
    if kind == "none":
        return Distribution()
    needed, module, name = _ENGINES[kind]
    if needed != backend:
        raise UserError(
            f"distribution={kind} runs on {needed}, and Keras runs on {backend}. Set KERAS_BACKEND={needed}, "
            "or choose distribution=auto."
        )
    engine = importlib.import_module(f"bod_keras.training.distribution.{module}")
    return getattr(engine, name)(devices=devices, timeout=timeout)


def _from_environment(backend, devices):
    if backend == "torch":
        return "torch" if "TORCHELASTIC_RUN_ID" in os.environ or "RANK" in os.environ else "none"
    if backend == "tensorflow":
        if os.environ.get("TF_CONFIG"):
            return "multiworker"
        import tensorflow as tf

        return (
            "mirrored" if (devices or len(tf.config.list_physical_devices("GPU"))) > 1 else "none"
        )
    if "JAX_COORDINATOR_ADDRESS" in os.environ:
        return "jax"
    if devices is not None:
        return "jax" if devices > 1 else "none"
    import jax

    return "jax" if jax.local_device_count() > 1 else "none"
