"""What the published recipes share, a data set each; the configs add their framework's settings.

`kinetics400`: Feichtenhofer et al., "A Large-Scale Study on Unsupervised Spatiotemporal Representation
Learning", arXiv 2104.14558, as their code's configs have it. `ucf101`: data and encoder of Dave et al., "TCLR",
arXiv 2101.07974, which pre-trains on it.
"""

from bod_keras.configs import base
from bod_keras.configs.arguments import read_arguments


def kinetics400(framework, arguments):
    """``(config, arguments)``: SlowOnly-R50 on 8 frames, every 8th, of 224 x 224; rho clips a video."""
    config, chosen = _start(framework, "k400", arguments)
    config.encoder.name = "slow_only_r50"
    config.clips.update(
        {"frames": 8, "stride": 8, "size": 224, "batch_size": 64, "recipe": "rho", "workers": 8}
    )
    config.epochs = 200
    # Published learning rates are for 64 clips, one machine of 8 GPUs; larger batches scale them. The study's
    # cosine begins with the run, ours after the warm-up; its LARS divides by |g| + d|w|, ours by |g + d w|.
    config.optimizer.update(
        {"reference_batch": 64, "warmup_epochs": 35.0, "warmup_learning_rate": 1e-3}
    )
    return config, chosen


def ucf101(framework, arguments):
    """``(config, arguments)``: R3D-18 that keeps every frame, on 16 of 112 x 112; rho clips a video."""
    config, chosen = _start(framework, "ucf101", arguments)
    config.encoder.name = "r3d18"
    config.clips.update(
        {"frames": 16, "stride": 2, "size": 112, "batch_size": 40, "recipe": "cvrl", "workers": 4}
    )
    config.epochs = 400
    config.optimizer.update({"learning_rate": 1e-3, "weight_decay": 0.0, "warmup_epochs": 5.0})
    return config, chosen


def finish(config, chosen):
    """The config, or for ``smoke`` the same, small: two steps on the built-in data, with a small encoder."""
    if not chosen.smoke:
        return config
    config.name += "-smoke"
    config.epochs = 1
    config.data.source = "built-in"
    config.built_in.update({"train": 16, "probe_train": 160, "probe_test": 80, "frames": 12})
    config.clips.update({"frames": 4, "stride": 2, "size": 32, "batch_size": 8, "workers": 2})
    config.encoder.name, config.encoder.arguments = "frame_cnn", {"widths": (8, 16)}
    config.head.update({"hidden": 32, "width": 16})
    config.optimizer.warmup_epochs = 0.5
    config.optimizer.warmup_learning_rate = 0.0
    small = {
        "queue_size": 16 if chosen.views else 8,
        "prototypes": 8,
        "predictor_hidden": 16,
        "freeze_epochs": 0.5,
        "queue_epochs": 0.5,
    }
    config.framework.update({k: v for k, v in small.items() if k in config.framework})
    return config


def _start(framework, data, arguments):
    name = f"{framework}_{data}"
    chosen = read_arguments(name, arguments, views=(2, 3, 4))
    config = base.get_config()
    config.clips.views = chosen.views or 2
    config.name = "-".join([name, chosen.kind, *([f"rho{chosen.views}"] if chosen.views else [])])
    config.framework = base.framework(framework)
    base.set_kind(config, chosen.kind)
    return config, chosen
