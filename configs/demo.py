"""The effect on one screen: a framework, plain and decoupled, on the built-in digit-drift videos.

A large digit stands still (static factor), a disc drifts over it (dynamic factor, 8 directions); in 95 % of
the training videos the direction is tied to the digit. Plain v-SimCLR learns the digit and ignores the
motion; decoupled by Koopman operators (BOD-VCL) it learns both.

Command:   make train, or
           python train.py --config=configs/demo.py:plain
           python train.py --config=configs/demo.py:bod
           python evaluate.py --protocol=factors --model=runs/demo-plain-seed0 --model=runs/demo-bod-seed0
Arguments: plain, bod or paper; optionally a framework (vsimclr, vmoco, vbyol, vswav, vsimsiam, vvicreg,
           vbarlow_twins, vlejepa), smoke (tiny: does it run?) and noise (digit and direction are seen in motion
           alone, in no single frame; the encoder is an R3D-18 of width 8), as in
           configs/demo.py:bod,vmoco,smoke
Cost:      about 2 minutes a run on 2 CPU cores
Paper:     Song et al., arXiv 2407.14069; the operator read-out of the dynamic part is ours
Expected:  see the tables in README.md
"""

from bod_keras.configs import base
from bod_keras.configs.arguments import read_arguments
from bod_keras.frameworks import FRAMEWORKS

# What a small batch and 450 steps ask for.
_SETTINGS = {
    "vsimclr": {"temperature": 0.5},
    "vmoco": {"temperature": 0.5, "queue_size": 512, "momentum": 0.9},
    "vbyol": {"predictor_hidden": 128, "momentum": 0.9},
    "vswav": {"prototypes": 64},
    "vsimsiam": {"predictor_hidden": 32},
    "vvicreg": {"expander_hidden": 128, "expander_width": 64},
    "vlejepa": {"expander_hidden": 128},
}


def get_config(arguments="bod"):
    chosen = read_arguments("demo", arguments, frameworks=FRAMEWORKS, noise=True)
    config = base.get_config()
    framework = chosen.framework or "vsimclr"
    config.name = "-".join(filter(None, ["demo", chosen.framework, chosen.kind]))
    config.epochs = 28
    config.data.source = "built-in"
    config.clips.update(
        {"frames": 10, "size": 32, "batch_size": 64, "recipe": "motion", "cache_mb": 512}
    )
    config.encoder.name = "frame_cnn"
    config.framework = base.framework(framework)
    config.framework.update(_SETTINGS.get(framework, {}))
    config.optimizer.learning_rate = 2e-3
    config.evaluate.most = 0.2  # a run of two minutes
    base.set_kind(config, chosen.kind)
    if chosen.noise:
        config.name += "-noise"
        config.built_in.scene = "noise"
        config.encoder.name = "r3d18"
        config.encoder.arguments = {"width": 8}
    if chosen.smoke:
        config.name += "-smoke"
        config.epochs = 3
        config.built_in.update({"train": 128, "probe_train": 160, "probe_test": 80})
        config.clips.batch_size = 32
    return config
