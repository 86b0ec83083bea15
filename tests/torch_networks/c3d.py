"""C3D with batch normalization and without fully connected layers, under the keys of VCOP and RSPNet."""

from torch import nn

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
# Convolution, channels in units of the first, and whether a maximum follows.
CONVS = (
    ("1", 1, True),
    ("2", 2, True),
    ("3a", 4, False),
    ("3b", 4, True),
    ("4a", 8, False),
    ("4b", 8, True),
    ("5a", 8, False),
    ("5b", 8, False),
)


class C3D(nn.Module):
    """Maps (B, 8 width, T', H', W') of clips (B, 3, T, H, W); `time_strides` are those of maxima 2 to 4."""

    def __init__(self, time_strides=(2, 2, 2), width=64):
        super().__init__()
        inputs, times = 3, iter((1, *time_strides))
        for place, multiple, pooled in CONVS:
            outputs = multiple * width
            self.add_module(f"conv{place}", nn.Conv3d(inputs, outputs, 3, padding=1))
            self.add_module(f"bn{place}", nn.BatchNorm3d(outputs))
            if pooled:
                self.add_module(f"pool{place}", nn.MaxPool3d((next(times), 2, 2)))
            inputs = outputs

    def forward(self, x):
        for place, _, pooled in CONVS:
            x = getattr(self, f"bn{place}")(getattr(self, f"conv{place}")(x)).relu()
            x = getattr(self, f"pool{place}")(x) if pooled else x
        return x
