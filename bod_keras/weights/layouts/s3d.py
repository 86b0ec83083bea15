"""S3D in its published forms: torchvision's, CoCLR's, and RSPNet's, which may have gates (S3D-G)."""

import keras
import numpy as np

from bod_keras.weights.layout import Layout, Tensor

_PAIR = {"space": 0, "time": 1}  # of a pair of convolutions


def _layout(name, parts, unit, pair, blocks, gate=None, plain="", unused=None, tensors=None):
    """A scheme of an S3D, whose forms differ in how they name the same tree.

    Args:
        name: of the scheme.
        parts: modules of the pair `conv1`, of `conv2b` and of the pair `conv2c`.
        unit: `(module, kind) -> module` of the convolution or normalization (`conv`, `bn`) of a single one.
        pair: `(module, space or time, kind) -> module` of a pair.
        blocks: `(stage, letter) -> module` of an Inception block.
        gate: what follows a pair's module for its gate; None where there are none.
        plain: what stands between `branch0` and its unit.
        unused, tensors: as of `Layout`.
    """
    conv1, conv2b, conv2c = parts
    of = {"1": conv1, "2c": conv2c}
    block = r"mixed([345])([b-f])_branch"
    rules = [
        (r"conv(1|2c)_(space|time)_(conv|bn)", lambda n, *at: pair(of[str(n)], *at)),
        (r"conv2b_(conv|bn)", lambda kind: unit(conv2b, kind)),
        (block + r"0_(conv|bn)", lambda s, b, kind: unit(f"{blocks(s, b)}.branch0{plain}", kind)),
        (block + r"3_(conv|bn)", lambda s, b, kind: unit(f"{blocks(s, b)}.branch3.1", kind)),
        (
            block + r"([12])_reduce_(conv|bn)",
            lambda s, b, n, kind: unit(f"{blocks(s, b)}.branch{n}.0", kind),
        ),
        (
            block + r"([12])_(space|time)_(conv|bn)",
            lambda s, b, n, *at: pair(f"{blocks(s, b)}.branch{n}.1", *at),
        ),
    ]
    if gate:
        rules += [
            (r"conv(1|2c)_gate", lambda n: f"{of[str(n)]}.{gate}"),
            (block + r"([12])_gate", lambda s, b, n: f"{blocks(s, b)}.branch{n}.1.{gate}"),
        ]
    return Layout(name, tuple(rules), unused, tensors or (lambda layer, module: None))


_PLACE = {"conv": 0, "bn": 1}  # in a Sequential
# Of the blocks in torchvision's `features`, where the maxima are counted, too.
_FEATURE = dict(
    zip(("3b", "3c", "4b", "4c", "4d", "4e", "4f", "5b", "5c"), (5, 6, *range(8, 13), 14, 15))
)

TORCHVISION_S3D = _layout(
    "torchvision_s3d",
    ("features.0", "features.2", "features.3"),
    unit=lambda module, kind: f"{module}.{_PLACE[kind]}",
    pair=lambda module, side, kind: f"{module}.{_PAIR[side]}.{_PLACE[kind]}",
    blocks=lambda stage, letter: f"features.{_FEATURE[f'{stage}{letter}']}",
)

COCLR_S3D = _layout(
    "coclr_s3d",
    ("Conv_1a", "Conv_2b", "Conv_2c"),
    unit=lambda module, kind: f"{module}.{kind}",
    pair=lambda module, side, kind: f"{module}.{kind}{_PAIR[side] + 1}",
    blocks=lambda stage, letter: f"Mixed_{stage}{letter}",
    plain=".0",
    unused=r"block\d\..*",  # the same modules again
)


def _excitation(layer, module):
    """A gate's dense layer is a 1 x 1 x 1 convolution there."""
    if not isinstance(layer, keras.layers.Dense):
        return None
    kernel = Tensor(
        layer.kernel,
        (f"{module}.weight",),
        lambda array: np.transpose(array.squeeze((2, 3, 4))),
        lambda value: [np.transpose(value)[:, :, None, None, None]],
    )
    return [kernel, Tensor(layer.bias, (f"{module}.bias",))]


RSPNET_S3D = _layout(
    "rspnet_s3d",
    ("feature.sepConv1", "feature.basicConv3d", "feature.sep_conv2"),
    unit=lambda module, kind: f"{module}.{'conv3d' if kind == 'conv' else kind}",
    pair=lambda module, side, kind: (
        f"{module}.sep_conv.{_PAIR[side]}.{'conv3d' if kind == 'conv' else kind}"
    ),
    blocks=lambda stage, letter: f"feature.sepInc_{stage}{letter}",
    gate="excitation",
    tensors=_excitation,
)
