"""Every test starts from the same seeds and under the default dtype policy."""

import importlib.util
import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
XLA_FLAGS = {
    # What XLA compiles, tests run once or twice, so that LLVM's optimizations take longer than they save.
    "tensorflow": "--xla_backend_optimization_level=0",
    # Most of its time goes into the code of fused kernels: its older emitters take a third.
    "jax": "--xla_cpu_use_fusion_emitters=false --xla_cpu_parallel_codegen_split_count=1",
}
flags = XLA_FLAGS.get(os.environ.get("KERAS_BACKEND"), "")
os.environ["XLA_FLAGS"] = f"{os.environ.get('XLA_FLAGS', '')} {flags}".strip()

import keras
import pytest

from tests.remote_servers import S3Server

if keras.backend.backend() == "jax":
    import jax

    # Most programs run once or twice: time to optimize them would be lost. Processes of their own do optimize.
    jax.config.update("jax_disable_most_optimizations", True)


@pytest.fixture(autouse=True)
def seeds_and_policy():
    policy = keras.config.dtype_policy()
    keras.utils.set_random_seed(0)
    yield
    keras.config.set_dtype_policy(policy)


@pytest.fixture(scope="session")
def s3_server():
    """An S3 server, for processes with its `environment`; tensorflow-io aborts those that used it at exit."""
    if importlib.util.find_spec("tensorflow_io") is None:
        pytest.skip("s3:// needs tensorflow-io, which has no build for this environment")
    server = S3Server()
    yield server
    server.stop()
