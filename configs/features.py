"""BOD-VCL on features that another network has made: files (N, T, C) in the place of videos.

Command:   python train.py --config=configs/features.py --config.data.source=/path/to/features \
               --config.data.channels=768
           The source is an .npy or .npz file (videos, time, channels), a folder of them (with or without one
           folder per class) or of files (time, channels), or a list "path label" (docs/frozen.md).
Arguments: optionally a framework (vsimclr, vmoco, vbyol, ...), as in configs/features.py:vmoco
Cost:      minutes on a CPU
Expected:  no number is claimed for it
"""

from bod_keras.configs import base


def get_config(arguments=""):
    config = base.shared()
    config.framework = base.only_framework(arguments, "configs/features.py")
    config.name = "-".join(filter(None, ["features", arguments]))
    config.clips.update({"frames": 8, "batch_size": 64})
    config.encoder.name = "features"
    # They change pixels, and there are none.
    config.decoupling.motion_view = ""
    config.decoupling.static_mix = 0.0
    config.epochs = 100
    return config
