"""The Slow pathway R50 without its classifier, under the keys of PyTorchVideo and of SlowFast."""

from torch import nn

MEAN, STD = (0.45,) * 3, (0.225,) * 3
# Bottlenecks, frames of the first convolution, spatial stride of stages 2 to 5.
STAGES = ((3, 1, 1), (4, 1, 2), (6, 3, 2), (3, 3, 2))


class Bottleneck(nn.Module):
    """`names` gives the names of the three convolutions and their normalizations, and of the shortcut's."""

    def __init__(self, inputs, inner, frames, stride, names):
        super().__init__()
        self.names = names
        branch = nn.Module()
        convs = (
            nn.Conv3d(inputs, inner, (frames, 1, 1), 1, (frames // 2, 0, 0), bias=False),
            nn.Conv3d(inner, inner, (1, 3, 3), (1, stride, stride), (0, 1, 1), bias=False),
            nn.Conv3d(inner, 4 * inner, 1, bias=False),
        )
        for (conv_name, norm_name), conv in zip(names["branch"], convs):
            branch.add_module(conv_name, conv)
            branch.add_module(norm_name, nn.BatchNorm3d(conv.out_channels))
        self.branch2 = branch
        if stride > 1 or inputs != 4 * inner:
            conv_name, norm_name = names["shortcut"]
            strides = (1, stride, stride)
            self.add_module(conv_name, nn.Conv3d(inputs, 4 * inner, 1, strides, bias=False))
            self.add_module(norm_name, nn.BatchNorm3d(4 * inner))

    def forward(self, x):
        conv_name, norm_name = self.names["shortcut"]
        shortcut = x
        if hasattr(self, conv_name):
            shortcut = getattr(self, norm_name)(getattr(self, conv_name)(x))
        for step, (conv, norm) in enumerate(self.names["branch"]):
            x = getattr(self.branch2, norm)(getattr(self.branch2, conv)(x))
            x = x.relu() if step < 2 else x
        return (x + shortcut).relu()


class _Slow(nn.Module):
    """Maps (B, 32 width, T, H', W') of clips (B, 3, T, H, W)."""

    def pool(self, x):
        return nn.functional.max_pool3d(x.relu(), (1, 3, 3), (1, 2, 2), (0, 1, 1))


class PyTorchVideoSlow(_Slow):
    NAMES = {
        "branch": [(f"conv_{letter}", f"norm_{letter}") for letter in "abc"],
        "shortcut": ("branch1_conv", "branch1_norm"),
    }

    def __init__(self, width=64):
        super().__init__()
        stem = nn.Module()
        stem.conv = nn.Conv3d(3, width, (1, 7, 7), (1, 2, 2), (0, 3, 3), bias=False)
        stem.norm = nn.BatchNorm3d(width)
        self.blocks = nn.ModuleList([stem])
        inputs = width
        for stage, (count, frames, stride) in enumerate(STAGES):
            inner = width * 2**stage
            blocks = []
            for block in range(count):
                step = stride if block == 0 else 1
                blocks.append(Bottleneck(inputs, inner, frames, step, self.NAMES))
                inputs = 4 * inner
            part = nn.Module()
            part.res_blocks = nn.ModuleList(blocks)
            self.blocks.append(part)

    def forward(self, clips):
        x = self.pool(self.blocks[0].norm(self.blocks[0].conv(clips)))
        for stage in self.blocks[1:]:
            for block in stage.res_blocks:
                x = block(x)
        return x


class SlowFastSlow(_Slow):
    NAMES = {
        "branch": [(letter, f"{letter}_bn") for letter in "abc"],
        "shortcut": ("branch1", "branch1_bn"),
    }

    def __init__(self, width=64):
        super().__init__()
        stem = nn.Module()
        stem.conv = nn.Conv3d(3, width, (1, 7, 7), (1, 2, 2), (0, 3, 3), bias=False)
        stem.bn = nn.BatchNorm3d(width)
        self.s1 = nn.Module()
        self.s1.pathway0_stem = stem
        inputs = width
        for stage, (count, frames, stride) in enumerate(STAGES):
            inner = width * 2**stage
            part = nn.Module()
            for block in range(count):
                step = stride if block == 0 else 1
                module = Bottleneck(inputs, inner, frames, step, self.NAMES)
                part.add_module(f"pathway0_res{block}", module)
                inputs = 4 * inner
            self.add_module(f"s{stage + 2}", part)

    def forward(self, clips):
        stem = self.s1.pathway0_stem
        x = self.pool(stem.bn(stem.conv(clips)))
        for stage in (self.s2, self.s3, self.s4, self.s5):
            for block in stage.children():
                x = block(x)
        return x
