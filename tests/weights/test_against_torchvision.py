"""Encoders against torchvision's own networks, where it is installed; see make test-torchvision."""

import keras
import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="torchvision runs on PyTorch")
video = pytest.importorskip(
    "torchvision.models.video", reason="torchvision's wheel wants the PyTorch of its own index"
)

from bod_keras import encoders
from bod_keras.weights import load_torch, save_torch
from tests.torch_networks import r3d, randomise

# torchvision's name: encoder with the published strides, module with the statistics of its clips
NETWORKS = {"r3d_18": (lambda: encoders.R3D18((None, 32, 32, 3), temporal_stride=8), r3d)}


def features_of(network, clips, training):
    """What torchvision's classifier reads, the mean over space and time of the last map."""
    network.train(training)
    with torch.no_grad():
        return network(torch.from_numpy(clips.transpose(0, 4, 1, 2, 3))).numpy()


@pytest.mark.parametrize("name", NETWORKS)
def test_weights_in_and_out(name, tmp_path):
    build, published = NETWORKS[name]
    network = randomise(getattr(video, name)(weights=None))
    torch.save(network.state_dict(), tmp_path / "in.pth")
    encoder = build()
    report = load_torch(encoder, tmp_path / "in.pth")
    assert {"fc.weight", "fc.bias"} <= set(report.unused)
    network.fc = torch.nn.Identity()
    clips = np.random.default_rng(0).uniform(size=(2, 8, 32, 32, 3)).astype("float32")
    standardised = (clips - np.float32(published.MEAN)) / np.float32(published.STD)
    for training in (False, True):
        got = keras.ops.convert_to_numpy(encoder(clips, training=training)).mean(1)
        want = features_of(network, standardised, training)
        assert np.linalg.norm(got - want) < 1e-4 * np.linalg.norm(want)
    save_torch(encoder, tmp_path / "out.pth")
    again = getattr(video, name)(weights=None)
    again.fc = torch.nn.Identity()
    again.load_state_dict(torch.load(tmp_path / "out.pth", weights_only=True), strict=True)
    got = features_of(again, standardised, training=False)
    want = keras.ops.convert_to_numpy(encoder(clips, training=False)).mean(1)
    assert np.linalg.norm(got - want) < 1e-4 * np.linalg.norm(want)
