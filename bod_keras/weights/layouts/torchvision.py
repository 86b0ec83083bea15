"""torchvision's video ResNets: `torchvision.models.video.r3d_18`."""

from bod_keras.weights.layout import Layout


def _block(part):
    """Rules of the blocks: `part` is the position of a convolution or its normalisation in a Sequential."""
    return lambda stage, block, conv: f"layer{stage}.{block - 1}.conv{conv}.{part}"


TORCHVISION = Layout(
    "torchvision",
    (
        (r"stem_conv", "stem.0"),
        (r"stem_bn", "stem.1"),
        (r"stage([1-4])_block(\d)_([12])_conv", _block(0)),
        (r"stage([1-4])_block(\d)_([12])_bn", _block(1)),
        (r"stage([1-4])_block1_shortcut_conv", lambda stage: f"layer{stage}.0.downsample.0"),
        (r"stage([1-4])_block1_shortcut_bn", lambda stage: f"layer{stage}.0.downsample.1"),
    ),
)
