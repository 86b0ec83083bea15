"""Clip -> clip, one random draw for all frames."""

from bod_keras.data.augment.augment import augmentation  # noqa: F401
