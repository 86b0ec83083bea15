"""The rival of benchmarks/gpu.py: a step of plain v-SimCLR in PyTorch alone, as one would write it there."""

import torch
from torch import nn
from torch.nn import functional

from benchmarks.encoder_calls import torch_network

HIDDEN, WIDTH, TEMPERATURE = 512, 128, 0.1


class Framework(nn.Module):
    """Encoder, head, and InfoNCE of the time means of two views."""

    def __init__(self, encoder, channels):
        super().__init__()
        self.encoder = encoder
        self.head = nn.Sequential(
            nn.Linear(channels, HIDDEN),
            nn.BatchNorm1d(HIDDEN),
            nn.ReLU(),
            nn.Linear(HIDDEN, WIDTH, bias=False),
        )

    def forward(self, clips):
        """The loss of clips (2 B, 3, T, H, W), view after view."""
        features = self.encoder(clips)
        with torch.autocast(clips.device.type, enabled=False):
            batch, time, channels = features.shape
            embeddings = self.head(features.float().reshape(-1, channels))
            embeddings = functional.normalize(embeddings.reshape(batch, time, -1).mean(1))
            logits = embeddings @ embeddings.T / TEMPERATURE
            logits = logits.masked_fill(
                torch.eye(batch, dtype=bool, device=clips.device), -torch.inf
            )
            other = torch.arange(batch, device=clips.device).roll(batch // 2)
            return functional.cross_entropy(logits, other)


def make_step(network, clip, batch, precision, compiled, device):
    """A function without arguments: one whole training step on a batch of noise that stays on the device.

    Args:
        network: a `Network` of benchmarks/gpu.py.
        clip: (T, H, W, 3).
        batch: videos.
        precision: "bfloat16", by autocast, or "float32".
        compiled: None, or the backend of torch.compile.
        device: "cuda" or "cpu".
    """
    clips = torch.rand(2 * batch, 3, *clip[:3])
    encoder = torch_network(network.twin, network.twin_arguments).eval()
    with torch.no_grad():
        channels = encoder(clips[:1]).shape[-1]
    framework = Framework(encoder, channels)
    # What tensor cores want, and what Keras' layout is to PyTorch.
    layout = {"memory_format": torch.channels_last_3d}
    framework, clips = framework.to(device, **layout).train(), clips.to(device, **layout)
    cuda = device == "cuda"
    optimizer = torch.optim.AdamW(framework.parameters(), 1e-3, weight_decay=1e-4, fused=cuda)
    forward = torch.compile(framework, backend=compiled) if compiled else framework

    def step():
        with torch.autocast(device, torch.bfloat16, enabled=precision == "bfloat16"):
            loss = forward(clips)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
        return loss

    return step
