"""The Slow pathway in its two published forms: PyTorchVideo's `slow_r50` and SlowFast's own checkpoints."""

from bod_keras.weights.layout import Layout

_LETTER = {1: "a", 2: "b", 3: "c"}  # of a bottleneck's convolutions


def _pytorchvideo(kind):
    # blocks.0 is the stem, stages 2 to 5 are blocks.1 to blocks.4.
    return lambda stage, block, conv: (
        f"blocks.{stage - 1}.res_blocks.{block - 1}.branch2.{kind}_{_LETTER[conv]}"
    )


def _slowfast(ending):
    return lambda stage, block, conv: (
        f"s{stage}.pathway0_res{block - 1}.branch2.{_LETTER[conv]}{ending}"
    )


_CONV, _NORM = (rf"stage([2-5])_block(\d)_([123])_{kind}" for kind in ("conv", "bn"))
_SHORTCUT_CONV, _SHORTCUT_NORM = (
    rf"stage([2-5])_block1_shortcut_{kind}" for kind in ("conv", "bn")
)

PYTORCHVIDEO = Layout(
    "pytorchvideo",
    (
        (r"stem_conv", "blocks.0.conv"),
        (r"stem_bn", "blocks.0.norm"),
        (_CONV, _pytorchvideo("conv")),
        (_NORM, _pytorchvideo("norm")),
        (_SHORTCUT_CONV, lambda stage: f"blocks.{stage - 1}.res_blocks.0.branch1_conv"),
        (_SHORTCUT_NORM, lambda stage: f"blocks.{stage - 1}.res_blocks.0.branch1_norm"),
    ),
    unused=r"blocks\.5\..*",  # the classifier
)

SLOWFAST = Layout(
    "slowfast",
    (
        (r"stem_conv", "s1.pathway0_stem.conv"),
        (r"stem_bn", "s1.pathway0_stem.bn"),
        (_CONV, _slowfast("")),
        (_NORM, _slowfast("_bn")),
        (_SHORTCUT_CONV, lambda stage: f"s{stage}.pathway0_res0.branch1"),
        (_SHORTCUT_NORM, lambda stage: f"s{stage}.pathway0_res0.branch1_bn"),
    ),
)
