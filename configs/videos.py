"""BOD-VCL on your own videos: decoupled v-SimCLR with R3D-18 that keeps every frame.

Command:   python train.py --config=configs/videos.py --config.data.source=/path/to/videos
           The source is a folder (with or without one folder per class), a list "path label", or a CSV
           file with the columns path[,label][,split][,factors ...].
Argument:  small: the per-frame CNN on 64 x 64 pixels, for a machine without a GPU, as in
           configs/videos.py:small
Cost:      R3D-18 on 16 x 112 x 112 needs a GPU
Expected:  no number is claimed for it
"""

from bod_keras.errors import UserError
from configs import base


def get_config(argument=""):
    if argument not in ("", "small"):
        raise UserError(f"configs/videos.py takes small or nothing. Received: {argument!r}")
    config = base.get_config()
    config.name = "videos"
    config.optimizer.warmup_epochs = 5.0
    if argument == "small":
        config.encoder.name = "frame_cnn"
        config.clips.update({"frames": 8, "size": 64, "batch_size": 8})
        config.epochs = 20
    return config
