"""S3D and S3D-G without their classifier, under the keys of torchvision, CoCLR and RSPNet."""

from collections import OrderedDict
from functools import partial

import torch
from torch import nn

MEAN = (0.43216, 0.394666, 0.37645)
STD = (0.22803, 0.22145, 0.216989)
BLOCKS = {
    "3b": (192, (64, 96, 128, 16, 32, 32)),
    "3c": (256, (128, 128, 192, 32, 96, 64)),
    "4b": (480, (192, 96, 208, 16, 48, 64)),
    "4c": (512, (160, 112, 224, 24, 64, 64)),
    "4d": (512, (128, 128, 256, 24, 64, 64)),
    "4e": (512, (112, 144, 288, 32, 64, 64)),
    "4f": (528, (256, 160, 320, 32, 128, 128)),
    "5b": (832, (256, 160, 320, 32, 128, 128)),
    "5c": (832, (384, 192, 384, 48, 128, 128)),
}
SLOW = partial(
    nn.BatchNorm3d, eps=1e-3, momentum=0.001
)  # as the paper's; CoCLR's is PyTorch's default


def conv(inputs, outputs, kernel, stride=1):
    padding = tuple(size // 2 for size in kernel)
    return nn.Conv3d(inputs, outputs, kernel, stride, padding, bias=False)


class Block(nn.Module):
    def __init__(self, inputs, channels, unit, pair, wrap=lambda module: module):
        super().__init__()
        c0, r1, c1, r2, c2, c3 = channels
        self.branch0 = wrap(unit(inputs, c0))
        self.branch1 = nn.Sequential(unit(inputs, r1), pair(r1, c1, 3))
        self.branch2 = nn.Sequential(unit(inputs, r2), pair(r2, c2, 3))
        self.branch3 = nn.Sequential(nn.MaxPool3d(3, 1, 1), unit(inputs, c3))

    def forward(self, x):
        return torch.cat([self.branch0(x), self.branch1(x), self.branch2(x), self.branch3(x)], 1)


def layers(unit, pair, time_strides, wrap=lambda module: module):
    """The network in order: names of the paper, and modules."""
    first, second, third = time_strides
    yield "1a", pair(3, 64, 7, (first, 2))
    yield "pool2", nn.MaxPool3d((1, 3, 3), (1, 2, 2), (0, 1, 1))
    yield "2b", unit(64, 64)
    yield "2c", pair(64, 192, 3)
    yield "pool3", nn.MaxPool3d((1, 3, 3), (1, 2, 2), (0, 1, 1))
    for name, (inputs, channels) in BLOCKS.items():
        if name == "4b":
            yield "pool4", nn.MaxPool3d(3, (second, 2, 2), 1)
        if name == "5b":
            yield "pool5", nn.MaxPool3d((third, 2, 2))
        yield name, Block(inputs, channels, unit, pair, wrap)


def torchvision(time_strides=(2, 2, 2)):
    def unit(inputs, outputs, kernel=(1, 1, 1), stride=1):
        return nn.Sequential(conv(inputs, outputs, kernel, stride), SLOW(outputs), nn.ReLU())

    def pair(inputs, outputs, size, stride=(1, 1)):
        time, space = stride
        return nn.Sequential(
            unit(inputs, outputs, (1, size, size), (1, space, space)),
            unit(outputs, outputs, (size, 1, 1), (time, 1, 1)),
        )

    modules = [module for _, module in layers(unit, pair, time_strides)]
    return nn.Sequential(OrderedDict(features=nn.Sequential(*modules)))


class CoCLRUnit(nn.Module):
    def __init__(self, inputs, outputs):
        super().__init__()
        self.conv = conv(inputs, outputs, (1, 1, 1))
        self.bn = nn.BatchNorm3d(outputs)

    def forward(self, x):
        return self.bn(self.conv(x)).relu()


class CoCLRPair(nn.Module):
    def __init__(self, inputs, outputs, size, stride=(1, 1)):
        super().__init__()
        time, space = stride
        self.conv1 = conv(inputs, outputs, (1, size, size), (1, space, space))
        self.bn1 = nn.BatchNorm3d(outputs)
        self.conv2 = conv(outputs, outputs, (size, 1, 1), (time, 1, 1))
        self.bn2 = nn.BatchNorm3d(outputs)

    def forward(self, x):
        return self.bn2(self.conv2(self.bn1(self.conv1(x)).relu())).relu()


class CoCLR(nn.Module):
    """Each module is registered under two names, as there."""

    def __init__(self, time_strides=(2, 2, 2)):
        super().__init__()
        order = []
        for name, module in layers(CoCLRUnit, CoCLRPair, time_strides, nn.Sequential):
            if not name.startswith("pool"):
                kind = "Mixed" if name in BLOCKS else "Conv"
                self.add_module(f"{kind}_{name}", module)
            order.append(module)
        self.block1 = nn.Sequential(*order)

    def forward(self, x):
        return self.block1(x)


class RSPNetUnit(nn.Module):
    def __init__(self, inputs, outputs, kernel=(1, 1, 1), stride=1):
        super().__init__()
        self.conv3d = conv(inputs, outputs, kernel, stride)
        self.bn = SLOW(outputs)

    def forward(self, x):
        return self.bn(self.conv3d(x)).relu()


class RSPNetPair(nn.Module):
    """The first convolution strides in time."""

    def __init__(self, inputs, outputs, size, stride=(1, 1)):
        super().__init__()
        time, space = stride
        self.sep_conv = nn.Sequential(
            RSPNetUnit(inputs, outputs, (1, size, size), (time, space, space)),
            RSPNetUnit(outputs, outputs, (size, 1, 1)),
        )
        self.excitation = nn.Conv3d(outputs, outputs, 1)

    def forward(self, x):
        x = self.sep_conv(x)
        return self.excitation(x.mean((2, 3, 4), keepdim=True)).sigmoid() * x


def rspnet(time_strides=(2, 2, 2)):
    names = {"1a": "sepConv1", "2b": "basicConv3d", "2c": "sep_conv2"}
    names |= {name: f"sepInc_{name}" for name in BLOCKS}
    modules = layers(RSPNetUnit, RSPNetPair, time_strides)
    feature = OrderedDict((names.get(name, name), module) for name, module in modules)
    return nn.Sequential(OrderedDict(feature=nn.Sequential(feature)))
