"""The built-in moving discs, few of them, and an encoder that sees where they go."""

import keras

from bod_keras.data import read_dataset, write_moving_discs
from bod_keras.data.datasets.key_frames import key_frames


def write_discs(folder, train=48, test=12, **settings):
    return write_moving_discs(folder / "discs", train=train, test=test, **settings)


def disc_key_frames(root, split, every=1):
    return key_frames(read_dataset("boxes", root, split=split).records, every)


def make_conv(shape=(6, 32, 32, 3), widths=(8, 16)):
    """Two 3-D convolutions, averaged over space."""
    layers = keras.layers
    x = clips = keras.Input(shape)
    x = layers.Rescaling(4.0, offset=-1.0)(x)
    for width in widths:
        x = layers.Conv3D(width, (3, 5, 5), (1, 2, 2), padding="same", use_bias=False)(x)
        x = layers.ReLU()(layers.BatchNormalization(momentum=0.9)(x))
    return keras.Model(clips, keras.ops.mean(x, axis=(2, 3)))
