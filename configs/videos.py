"""BOD-VCL on your own videos: decoupled v-SimCLR with R3D-18 that keeps every frame.

Command:   python train.py --config=configs/videos.py --config.data.source=/path/to/videos
           The source is a folder (with or without one folder per class), a list "path label", or a CSV
           file with the columns path[,label][,split][,factors ...].
Arguments: optionally small (the per-frame CNN on 64 x 64 pixels, for a machine without a GPU) and a framework
           (vsimclr, vmoco, vbyol, ...), as in configs/videos.py:small,vmoco
Cost:      R3D-18 on 16 x 112 x 112 needs a GPU
Expected:  no number is claimed for it
"""

from bod_keras.configs import base
from bod_keras.errors import UserError
from bod_keras.frameworks import FRAMEWORKS


def get_config(arguments=""):
    words = arguments.split(",") if arguments else []
    frameworks = [word for word in words if word in FRAMEWORKS]
    if len(words) > len(frameworks) + words.count("small") or len(frameworks) > 1:
        raise UserError(
            "configs/videos.py takes small, and one of "
            f"{', '.join(name for name, _ in FRAMEWORKS.items())}. Received: {arguments!r}"
        )
    config = base.shared()
    config.framework = base.framework(*frameworks or ["vsimclr"])
    config.name = "-".join(["videos", *frameworks])
    config.optimizer.warmup_epochs = 5.0
    if "small" in words:
        config.encoder.name = "frame_cnn"
        config.clips.update({"frames": 8, "size": 64, "batch_size": 8})
        config.epochs = 20
    return config
