"""What a clip shows changed on purpose: other orders, backgrounds, stills, motion without appearance."""

from bod_keras.evaluation.bias.flow_noise import flow_noise
from bod_keras.evaluation.bias.foreground import Foreground
from bod_keras.evaluation.bias.stripes import stripes

__all__ = ["Foreground", "flow_noise", "stripes"]
