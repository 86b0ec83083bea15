"""torchvision's video ResNets: `r3d_18`, `mc3_18` and `r2plus1d_18` of `torchvision.models.video`."""

from bod_keras.weights.layout import Layout


def _block(part):
    """Rules of the blocks: `part` is the position of a convolution or its normalization in a Sequential."""
    return lambda stage, block, conv: f"layer{stage}.{block - 1}.conv{conv}.{part}"


TORCHVISION = Layout(
    "torchvision",
    (
        (r"stem_conv", "stem.0"),
        (r"stem_bn", "stem.1"),
        # R(2+1)D: convolution, normalization, ReLU, convolution; in a block they are a Sequential of their own.
        (r"stem_space_conv", "stem.0"),
        (r"stem_space_bn", "stem.1"),
        (r"stem_time_conv", "stem.3"),
        (r"stem_time_bn", "stem.4"),
        (r"stage([1-4])_block(\d)_([12])_space_conv", _block("0.0")),
        (r"stage([1-4])_block(\d)_([12])_space_bn", _block("0.1")),
        (r"stage([1-4])_block(\d)_([12])_time_conv", _block("0.3")),
        (r"stage([1-4])_block(\d)_([12])_time_bn", _block(1)),
        (r"stage([1-4])_block(\d)_([12])_conv", _block(0)),
        (r"stage([1-4])_block(\d)_([12])_bn", _block(1)),
        (r"stage([1-4])_block1_shortcut_conv", lambda stage: f"layer{stage}.0.downsample.0"),
        (r"stage([1-4])_block1_shortcut_bn", lambda stage: f"layer{stage}.0.downsample.1"),
    ),
)
