"""The published key schemes; the first that knows all layers of an encoder is the one it is saved in."""

from bod_keras.weights.layouts.slow_only import PYTORCHVIDEO, SLOWFAST
from bod_keras.weights.layouts.torchvision import TORCHVISION

LAYOUTS = (TORCHVISION, PYTORCHVIDEO, SLOWFAST)
