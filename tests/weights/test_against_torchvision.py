"""Encoders against torchvision's own networks, where it is installed; see make test-torchvision."""

import keras
import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="torchvision runs on PyTorch")
video = pytest.importorskip(
    "torchvision.models.video", reason="torchvision's wheel needs the PyTorch of its own index"
)

from bod_keras import encoders
from bod_keras.weights import load_torch, save_torch
from tests.torch_networks import r3d, randomize, s3d
from tests.weights.test_parity import make_clips

# torchvision's name: encoder with the published strides, module with the statistics of its clips, its head
NETWORKS = {
    "r3d_18": (lambda shape: encoders.R3D18(shape, temporal_stride=8), r3d, "fc"),
    "mc3_18": (encoders.MC3_18, r3d, "fc"),
    "r2plus1d_18": (lambda shape: encoders.R2Plus1D18(shape, temporal_stride=8), r3d, "fc"),
    "s3d": (lambda shape: encoders.S3D(shape, temporal_stride=8), s3d, "classifier"),
}


def features_of(network, clips, training):
    """What torchvision's classifier reads, the mean over space and time of the last map."""
    network.double().train(training)
    with torch.no_grad():
        return network(torch.from_numpy(clips.transpose(0, 4, 1, 2, 3)).double()).numpy()


@pytest.mark.parametrize("name", NETWORKS)
def test_weights_in_and_out(name, tmp_path):
    # Both in float64: in training mode S3D's features in float32 are 4e-4 (PyTorch) and 6e-4 (ours) away.
    keras.config.set_dtype_policy("float64")
    build, published, head = NETWORKS[name]
    network = randomize(getattr(video, name)(weights=None))
    torch.save(network.state_dict(), tmp_path / "in.pth")
    # S3D averages windows of 2 x 7 x 7: of this size there is one.
    shape = (16, 224, 224, 3) if name == "s3d" else (8, 32, 32, 3)
    encoder = build((None, *shape[1:]))
    report = load_torch(encoder, tmp_path / "in.pth")
    assert any(key.startswith(f"{head}.") for key in report.unused)
    setattr(network, head, torch.nn.Identity())
    clips = make_clips((2, *shape))
    standardized = (clips - np.float32(published.MEAN)) / np.float32(published.STD)
    for training in (False, True):
        got = keras.ops.convert_to_numpy(encoder(clips, training=training)).mean(1)
        want = features_of(network, standardized, training)
        assert np.linalg.norm(got - want) < 1e-4 * np.linalg.norm(want)
    save_torch(encoder, tmp_path / "out.pth")
    again = getattr(video, name)(weights=None)
    setattr(again, head, torch.nn.Identity())
    again.load_state_dict(torch.load(tmp_path / "out.pth", weights_only=True), strict=True)
    got = features_of(again, standardized, training=False)
    want = keras.ops.convert_to_numpy(encoder(clips, training=False)).mean(1)
    assert np.linalg.norm(got - want) < 1e-4 * np.linalg.norm(want)
