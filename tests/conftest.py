"""Every test starts from the same seeds and under the default dtype policy."""

import importlib.util
import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import pytest

from tests.remote_servers import S3Server

if keras.backend.backend() == "jax":
    import jax

    # Most programs run once or twice: time to optimise them would be lost. Processes of their own optimise.
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
