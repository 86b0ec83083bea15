"""What a distribution refuses, and what it reads from the environment; tests/distribution has the rest."""

import keras
import pytest

from bod_keras.training import choose_distribution
from bod_keras.training.distribution import Distribution

BACKEND = keras.backend.backend()


def spread(replicas, processes):
    distribution = Distribution()
    distribution.replicas, distribution.processes = replicas, processes
    return distribution


def test_a_batch_is_divided_over_processes():
    assert spread(4, 2).local_batch(32) == 16


def test_a_batch_that_does_not_divide_names_the_nearest():
    with pytest.raises(ValueError, match=r"over 4 replicas.*batch_size=30. Choose 28 or 32"):
        spread(4, 2).local_batch(30)
    with pytest.raises(ValueError, match=r"batch_size=3. Choose 4, or"):
        spread(4, 1).local_batch(3)


def test_one_process_is_chief_and_gathers_itself():
    alone = choose_distribution("none")
    assert alone.is_chief and alone.shard == (0, 1)
    assert alone.gather([1, 2]).tolist() == [[1, 2]]
    assert alone.gather_objects({"a": ["é"]}) == [{"a": ["é"]}]


def test_processes_that_see_different_checkpoints_are_refused():
    distribution = Distribution()
    distribution.gather = lambda number: keras.ops.convert_to_numpy([number, number + 40])
    with pytest.raises(ValueError, match=r"same checkpoint: \[0, 40\].*--config.output on storage"):
        distribution.check_same(0, "checkpoint")


def test_an_unknown_kind_and_another_backend_are_refused():
    with pytest.raises(ValueError, match="must be one of auto, none, mirrored.*Received: .horovod"):
        choose_distribution("horovod")
    other = "jax" if BACKEND == "torch" else "torch"
    with pytest.raises(
        ValueError, match=f"distribution={other} runs on {other}, and Keras runs on"
    ):
        choose_distribution(other)


@pytest.mark.skipif(BACKEND != "torch", reason="of PyTorch")
def test_torch_without_torchrun_is_refused(monkeypatch):
    monkeypatch.delenv("RANK", raising=False)
    with pytest.raises(ValueError, match="needs RANK, .*torchrun --nproc-per-node"):
        choose_distribution("torch")
    assert choose_distribution("auto").kind == "none"


@pytest.mark.skipif(BACKEND != "tensorflow", reason="of TensorFlow")
@pytest.mark.parametrize("config", ["", "{", '{"cluster": {"chief": []}}'])
def test_a_wrong_tf_config_is_refused(monkeypatch, config):
    monkeypatch.setenv("TF_CONFIG", config)
    with pytest.raises(ValueError, match="needs TF_CONFIG in the environment"):
        choose_distribution("multiworker")


@pytest.mark.skipif(BACKEND != "jax", reason="of JAX")
def test_an_incomplete_environment_of_jax_is_refused(monkeypatch):
    monkeypatch.setenv("JAX_COORDINATOR_ADDRESS", "127.0.0.1:1")
    monkeypatch.delenv("JAX_NUM_PROCESSES", raising=False)
    with pytest.raises(ValueError, match="needs JAX_NUM_PROCESSES"):
        choose_distribution("auto")
