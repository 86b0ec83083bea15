"""Every test starts from the same seeds and under the default dtype policy, and leaves nothing behind.

Keras is imported where it is used: the process that hands out the tests to others needs none.
"""

import gc
import importlib.util
import os
import tempfile

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ["NVIDIA_TF32_OVERRIDE"] = "0"  # on a GPU: products of ten bits would hide faults
XLA_FLAGS = {
    # What XLA compiles, tests run once or twice, so that LLVM's optimizations take longer than they save.
    "tensorflow": "--xla_backend_optimization_level=0",
    # Most of its time goes into the code of fused kernels: its older emitters take a third.
    "jax": "--xla_cpu_use_fusion_emitters=false --xla_cpu_parallel_codegen_split_count=1",
}
flags = XLA_FLAGS.get(os.environ.get("KERAS_BACKEND"), "")
os.environ["XLA_FLAGS"] = f"{os.environ.get('XLA_FLAGS', '')} {flags}".strip()

import pytest

from tests.leaks import Leaks
from tests.remote_servers import S3Server


@pytest.fixture(scope="session", autouse=True)
def temporary_folder(tmp_path_factory):
    """The folder for temporary files, also of processes, goes when pytest's own go."""
    folder = tmp_path_factory.mktemp("temporary")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tempfile, "tempdir", str(folder))
        patch.setenv("TMPDIR", str(folder))
        yield folder


@pytest.fixture(scope="session", autouse=True)
def backend_for_tests():
    import keras

    if keras.backend.backend() == "tensorflow":
        _without_tuning_of_pipelines()
        _without_forgetting_of_kernels()
    elif keras.backend.backend() == "jax":
        import jax

        # Most programs run once or twice: time to optimize them is lost. Processes of their own do optimize.
        jax.config.update("jax_disable_most_optimizations", True)
        jax.config.update("jax_default_matmul_precision", "highest")
    # What has been imported is not looked through again and again, and what tracing makes is seldom garbage.
    gc.collect()
    gc.freeze()
    gc.set_threshold(100_000, 10, 10)


def _without_tuning_of_pipelines():
    """TensorFlow's thread that tunes a tf.data pipeline can miss its end, which waits up to a minute for it.

    It is woken before the end is noted, and sleeps on where the machine is so busy that it looks too early.
    """
    import tensorflow as tf

    options, iterate = tf.data.Options(), tf.data.Dataset.__iter__
    options.autotune.enabled = False
    tf.data.Dataset.__iter__ = lambda dataset: iterate(dataset.with_options(options))


def _without_forgetting_of_kernels():
    """With each seed TensorFlow drops all kernels of eager operations, and a step takes three times as long.

    Keras' random numbers do not depend on that seed, which is set once.
    """
    import keras
    import tensorflow as tf

    keras.utils.set_random_seed(0)
    tf.random.set_seed = lambda seed: None


@pytest.fixture(autouse=True)
def nothing_is_left_behind(temporary_folder, tmp_path_factory):
    leaks = Leaks(tmp_path_factory.getbasetemp())
    yield
    if found := leaks.found():
        pytest.fail("The test left behind: " + "; ".join(f"{kind} {name}" for kind, name in found))


@pytest.fixture(autouse=True)
def seeds_and_policy():
    import keras

    policy = keras.config.dtype_policy()
    keras.utils.set_random_seed(0)
    yield
    keras.config.set_dtype_policy(policy)
    os.environ.pop("BOD_KERAS_READER", None)  # a command that was asked for --help has set it


@pytest.fixture
def eagerly(monkeypatch):
    """Training steps of TensorFlow are run operation by operation, for tests of what is around them.

    It saves the seconds in which a step is compiled. JAX would compile each operation.
    """
    from tests.tiny_models import run_steps_eagerly

    run_steps_eagerly(monkeypatch)


@pytest.fixture(scope="session")
def s3_server():
    """An S3 server, for processes with its `environment`; tensorflow-io aborts those that used it at exit."""
    if importlib.util.find_spec("tensorflow_io") is None:
        pytest.skip("s3:// needs tensorflow-io, which has no build for this environment")
    server = S3Server()
    yield server
    server.stop()
