"""BOD-VCL on an image model that you have: its features are computed once, and heads are trained on them.

Command:   python train.py --config=configs/frozen.py --config.data.source=/path/to/videos \
               --config.encoder.arguments.model=my_images.keras --config.encoder.arguments.preprocessing=unit
           The model is a Keras model of images saved with `model.save`, such as one of keras.applications
           without its top or a backbone of keras-hub, or the name of one in keras.applications with a file of
           weights for `encoder.arguments.weights` (docs/frozen.md).
Arguments: optionally a framework (vsimclr, vmoco, vbyol, ...), as in configs/frozen.py:vmoco
Cost:      the model once over every clip of `feature_cache.copies` epochs; then a step costs the heads alone
Expected:  no number is claimed for it; docs/frozen.md has what was measured on the built-in videos
"""

from ml_collections import ConfigDict, config_dict

from bod_keras.configs import base


def get_config(arguments=""):
    config = base.shared()
    config.framework = base.only_framework(arguments, "configs/frozen.py")
    config.name = "-".join(filter(None, ["frozen", arguments]))
    config.clips.update({"frames": 8, "size": 112, "batch_size": 32})
    config.encoder.name = "frame_encoder"
    config.encoder.arguments = ConfigDict(
        {
            "model": "MobileNetV2",
            "preprocessing": "tf",  # as the model was trained
            "weights": config_dict.placeholder(str),
            "frozen": True,
            "regions": 1,  # r x r means of its last map
        }
    )
    config.feature_cache.copies = 8
    config.epochs = 100
    return config
