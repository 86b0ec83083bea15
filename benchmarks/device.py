"""What benchmarks share: the device and its name, its end of work, clocks, and a process of threads."""

import os
import platform
import sys
import time

import keras

import bod_keras

BACKEND = keras.backend.backend()
if BACKEND == "tensorflow":
    import tensorflow as tf

    tf.get_logger().setLevel("ERROR")  # notes on retracing: every function is traced once
elif BACKEND == "jax":
    import jax
else:
    import torch


def use_threads(threads):
    """Restrict this process; before anything is computed, when the backends start their thread pools."""
    if not threads:
        return
    if hasattr(os, "sched_setaffinity"):  # the only way that holds for JAX
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:threads])
    if BACKEND == "tensorflow":
        tf.config.threading.set_intra_op_parallelism_threads(threads)
        tf.config.threading.set_inter_op_parallelism_threads(1)
    elif BACKEND == "torch":
        torch.set_num_threads(threads)


def find_device():
    """``("CPU" or "GPU", what it is)``."""
    if BACKEND == "tensorflow":
        gpus = tf.config.list_physical_devices("GPU")
        name = tf.config.experimental.get_device_details(gpus[0])["device_name"] if gpus else ""
    elif BACKEND == "jax":
        gpus = [device for device in jax.devices() if device.platform == "gpu"]
        name = gpus[0].device_kind if gpus else ""
    else:
        gpus = torch.cuda.is_available()
        name = torch.cuda.get_device_name() if gpus else ""
    if gpus:
        return "GPU", name
    affinity = getattr(os, "sched_getaffinity", None)
    cores = len(affinity(0)) if affinity else os.cpu_count()
    return "CPU", f"CPU {_processor()}, {cores} cores"


def _processor():
    try:
        with open("/proc/cpuinfo") as file:
            return next(line.split(":")[1].strip() for line in file if "model name" in line)
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()


def versions():
    library = {"tensorflow": "tensorflow", "jax": "jax", "torch": "torch"}[BACKEND]
    return (
        f"bod_keras {bod_keras.__version__}, Keras {keras.__version__}, "
        f"{library} {sys.modules[library].__version__}, Python {platform.python_version()}"
    )


def wait(result):
    """Return when all that the device was asked for is done; a loss may be read before the optimizer is."""
    if BACKEND == "tensorflow":
        tf.test.experimental.sync_devices()
    elif BACKEND == "jax":
        jax.block_until_ready(result)
    elif torch.cuda.is_available():
        torch.cuda.synchronize()


def seconds(function):
    start = time.perf_counter()
    function()
    return time.perf_counter() - start
