"""VideoMAE's ViT without its classifier, under the keys of its fine-tuned files or of its pre-training."""

import math

import torch
from torch import nn

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


class Attention(nn.Module):
    def __init__(self, width, heads):
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(width, 3 * width, bias=False)
        self.q_bias = nn.Parameter(torch.zeros(width))
        self.v_bias = nn.Parameter(torch.zeros(width))
        self.proj = nn.Linear(width, width)

    def forward(self, x):
        bias = torch.cat([self.q_bias, torch.zeros_like(self.q_bias), self.v_bias])
        parts = (self.qkv(x) + bias).chunk(3, dim=-1)
        results = []
        for q, k, v in zip(*(part.chunk(self.heads, dim=-1) for part in parts)):
            scores = q @ k.transpose(1, 2) / math.sqrt(q.shape[-1])
            results.append(scores.softmax(-1) @ v)
        return self.proj(torch.cat(results, dim=-1))


class FusedAttention(Attention):
    """The same by PyTorch's own attention, for a comparison of speed."""

    def forward(self, x):
        bias = torch.cat([self.q_bias, torch.zeros_like(self.q_bias), self.v_bias])
        qkv = nn.functional.linear(x, self.qkv.weight, bias)
        q, k, v = qkv.unflatten(-1, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)
        x = nn.functional.scaled_dot_product_attention(q, k, v)
        return self.proj(x.transpose(1, 2).flatten(2))


class Block(nn.Module):
    attention = Attention

    def __init__(self, width, heads):
        super().__init__()
        self.norm1 = nn.LayerNorm(width, eps=1e-6)
        self.attn = self.attention(width, heads)
        self.norm2 = nn.LayerNorm(width, eps=1e-6)
        self.mlp = nn.Module()
        self.mlp.fc1 = nn.Linear(width, 4 * width)
        self.mlp.fc2 = nn.Linear(4 * width, width)

    def forward(self, x):
        x = x + self.attn(self.norm1(x))
        hidden = self.mlp.fc1(self.norm2(x))
        hidden = hidden * 0.5 * (1 + torch.erf(hidden / math.sqrt(2)))
        return x + self.mlp.fc2(hidden)


class FusedBlock(Block):
    attention = FusedAttention


def sinusoids(count, width):
    """One row a token, in double precision until it is done."""
    table = torch.zeros(count, width, dtype=torch.float64)
    for channel in range(width):
        angle = torch.arange(count) / 10000.0 ** (2 * (channel // 2) / width)
        table[:, channel] = angle.cos() if channel % 2 else angle.sin()
    return table.float()


class VideoMAE(nn.Module):
    """Features (B, width, T / 2, 1, 1) of clips (B, 3, T, H, W)."""

    block = Block

    def __init__(self, width=768, depth=12, heads=12, last_norm="norm"):
        super().__init__()
        self.patch_embed = nn.Module()
        self.patch_embed.proj = nn.Conv3d(3, width, (2, 16, 16), (2, 16, 16))
        self.blocks = nn.ModuleList([self.block(width, heads) for _ in range(depth)])
        self.last_norm = last_norm
        self.add_module(last_norm, nn.LayerNorm(width, eps=1e-6))

    def forward(self, clips):
        maps = self.patch_embed.proj(clips)
        x = maps.flatten(2).transpose(1, 2)
        x = x + self.positions(x)
        for block in self.blocks:
            x = block(x)
        x = x.reshape(len(x), maps.shape[2], -1, x.shape[-1]).mean(2)
        return getattr(self, self.last_norm)(x).transpose(1, 2)[..., None, None]

    def positions(self, x):
        return sinusoids(x.shape[1], x.shape[2])


class FusedVideoMAE(VideoMAE):
    """The same for a comparison of speed: positions are computed once, for one number of tokens."""

    block = FusedBlock

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.register_buffer("table", None, persistent=False)

    def positions(self, x):
        if self.table is None:
            self.table = super().positions(x)
        return self.table.to(x.dtype)
