"""The encoders by name; each registers itself in its own file."""

from bod_keras.registry import Registry

ENCODERS = Registry("encoder", "bod_keras.encoders")
