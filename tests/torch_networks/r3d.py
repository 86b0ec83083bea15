"""torchvision's video ResNets without their classifier: R3D-18, MC3-18, R(2+1)D-18."""

from torch import nn

MEAN = (0.43216, 0.394666, 0.37645)
STD = (0.22803, 0.22145, 0.216989)


def conv3d(inputs, outputs, stride, entering):
    """A 3 x 3 x 3 convolution; `stride` is (time, space), `entering` the channels that enter the block."""
    time, space = stride
    return nn.Conv3d(inputs, outputs, 3, (time, space, space), 1, bias=False)


def conv2d(inputs, outputs, stride, entering):
    time, space = stride
    return nn.Conv3d(inputs, outputs, (1, 3, 3), (time, space, space), (0, 1, 1), bias=False)


def conv2plus1d(inputs, outputs, stride, entering):
    time, space = stride
    middle = 27 * entering * outputs // (9 * entering + 3 * outputs)
    return nn.Sequential(
        nn.Conv3d(inputs, middle, (1, 3, 3), (1, space, space), (0, 1, 1), bias=False),
        nn.BatchNorm3d(middle),
        nn.ReLU(),
        nn.Conv3d(middle, outputs, (3, 1, 1), (time, 1, 1), (1, 0, 0), bias=False),
    )


class BasicBlock(nn.Module):
    def __init__(self, inputs, outputs, stride, conv):
        super().__init__()
        relu = nn.ReLU()
        first, second = (
            conv(size, outputs, step, inputs)
            for size, step in ((inputs, stride), (outputs, (1, 1)))
        )
        self.conv1 = nn.Sequential(first, nn.BatchNorm3d(outputs), relu)
        self.conv2 = nn.Sequential(second, nn.BatchNorm3d(outputs))
        self.relu = relu
        self.downsample = None
        if stride != (1, 1) or inputs != outputs:
            time, space = stride
            self.downsample = nn.Sequential(
                nn.Conv3d(inputs, outputs, 1, (time, space, space), bias=False),
                nn.BatchNorm3d(outputs),
            )

    def forward(self, x):
        shortcut = x if self.downsample is None else self.downsample(x)
        return self.relu(self.conv2(self.conv1(x)) + shortcut)


class VideoResNet(nn.Module):
    """Maps (B, 8 width, T', H', W') of clips (B, 3, T, H, W).

    `convs` makes the convolutions of each of the four stages, `time_strides` are those of stages 2 to 4.
    """

    def __init__(self, stem, convs, time_strides=(2, 2, 2), width=64):
        super().__init__()
        self.stem = stem
        inputs = width
        for stage, conv in enumerate(convs, start=1):
            stride = (1, 1) if stage == 1 else (time_strides[stage - 2], 2)
            outputs = width * 2 ** (stage - 1)
            blocks = [BasicBlock(inputs, outputs, stride, conv)]
            blocks.append(BasicBlock(outputs, outputs, (1, 1), conv))
            setattr(self, f"layer{stage}", nn.Sequential(*blocks))
            inputs = outputs

    def forward(self, clips):
        x = self.stem(clips)
        for stage in range(1, 5):
            x = getattr(self, f"layer{stage}")(x)
        return x


def stem3d(width):
    return nn.Sequential(
        nn.Conv3d(3, width, (3, 7, 7), (1, 2, 2), (1, 3, 3), bias=False),
        nn.BatchNorm3d(width),
        nn.ReLU(),
    )


def r3d_18(time_strides=(2, 2, 2), width=64):
    return VideoResNet(stem3d(width), [conv3d] * 4, time_strides, width)


def mc3_18(time_strides=(1, 1, 1), width=64):
    return VideoResNet(stem3d(width), [conv3d] + [conv2d] * 3, time_strides, width)


def r2plus1d_18(time_strides=(2, 2, 2), width=64):
    middle = 45 * width // 64
    stem = nn.Sequential(
        nn.Conv3d(3, middle, (1, 7, 7), (1, 2, 2), (0, 3, 3), bias=False),
        nn.BatchNorm3d(middle),
        nn.ReLU(),
        nn.Conv3d(middle, width, (3, 1, 1), 1, (1, 0, 0), bias=False),
        nn.BatchNorm3d(width),
        nn.ReLU(),
    )
    return VideoResNet(stem, [conv2plus1d] * 4, time_strides, width)
