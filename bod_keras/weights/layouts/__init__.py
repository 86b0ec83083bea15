"""The published key schemes; an encoder is saved in the first that names all its layers."""

from bod_keras.weights.layouts.c3d import C3D
from bod_keras.weights.layouts.s3d import COCLR_S3D, RSPNET_S3D, TORCHVISION_S3D
from bod_keras.weights.layouts.slow_only import PYTORCHVIDEO, SLOWFAST
from bod_keras.weights.layouts.torchvision import TORCHVISION
from bod_keras.weights.layouts.videomae import VIDEOMAE

LAYOUTS = (
    TORCHVISION,
    PYTORCHVIDEO,
    SLOWFAST,
    TORCHVISION_S3D,
    COCLR_S3D,
    RSPNET_S3D,
    C3D,
    *VIDEOMAE,
)
