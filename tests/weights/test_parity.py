"""Each encoder gives the features of the published network in PyTorch, whose weights it loads."""

import keras
import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="the published networks are PyTorch's")

from bod_keras import encoders
from bod_keras.weights import load_torch
from tests.torch_networks import frame_features, r3d, randomise, slow_only

# name: encoder, network, module with its statistics, trainable parameters of the published network, input
CASES = {
    "r3d18": (
        lambda shape: encoders.R3D18(shape, temporal_stride=8),
        r3d.r3d_18,
        r3d,
        33_166_272,
        (2, 8, 32, 32, 3),
    ),
    "r3d18, every frame": (
        lambda shape: encoders.R3D18(shape),
        lambda: r3d.r3d_18(time_strides=(1, 1, 1)),
        r3d,
        33_166_272,
        (2, 3, 32, 32, 3),
    ),
    "slow_only_r50, PyTorchVideo": (
        encoders.SlowOnlyR50,
        slow_only.PyTorchVideoSlow,
        slow_only,
        31_634_496,
        (2, 4, 64, 64, 3),
    ),
    "slow_only_r50, SlowFast": (
        encoders.SlowOnlyR50,
        slow_only.SlowFastSlow,
        slow_only,
        31_634_496,
        (2, 4, 64, 64, 3),
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_features_equal_the_published_network(name, tmp_path):
    """In train mode, too, where features are normalised by the batch."""
    build, network, statistics, parameters, shape = CASES[name]
    network = randomise(network())
    torch.save(network.state_dict(), tmp_path / "network.pth")
    encoder = build((None, *shape[2:]))
    assert sum(p.numel() for p in network.parameters()) == parameters
    assert sum(int(np.prod(w.shape)) for w in encoder.trainable_weights) == parameters
    report = load_torch(encoder, tmp_path / "network.pth")
    assert len(report.loaded) == len(encoder.weights)
    clips = np.random.default_rng(0).uniform(size=shape).astype("float32")
    for training in (False, True):
        want = frame_features(network, clips, statistics.MEAN, statistics.STD, training)
        got = keras.ops.convert_to_numpy(encoder(clips, training=training))
        assert got.shape == want.shape
        error = np.linalg.norm(got - want) / np.linalg.norm(want)
        assert error < 1e-4, f"training={training}"
        # What is compared depends on the clip.
        assert np.linalg.norm(want[0] - want[1]) > 0.05 * np.linalg.norm(want)
