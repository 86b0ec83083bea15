"""`FrameEncoder`: any 2-D image model of Keras, applied to every frame."""

import keras
from keras import layers

from bod_keras.encoders._blocks import encoder_model
from bod_keras.encoders.frame_cnn import FoldTime, UnfoldTime

# How the models of keras.applications want colours in [0, 1]: factor, offset, mean of each channel, deviation, BGR.
