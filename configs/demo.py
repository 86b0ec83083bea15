"""The effect on one screen: plain and decoupled v-SimCLR on the built-in digit-drift videos.

A large digit stands still (static factor), a disc drifts over it (dynamic factor, 8 directions); in 95 % of
the training videos the direction is tied to the digit. Plain v-SimCLR learns the digit and ignores the
motion; decoupled by Koopman operators (BOD-VCL) it learns both.

Command:   make train, or
           python train.py --config=configs/demo.py:plain
           python train.py --config=configs/demo.py:bod
           python evaluate.py --protocol=factors --model=runs/demo-plain-seed0 --model=runs/demo-bod-seed0
Arguments: plain or bod, then optionally smoke (tiny: does it run?), as in configs/demo.py:bod,smoke
Cost:      about 2 minutes a run on 2 CPU cores
Paper:     Song et al., arXiv 2407.14069; the operator read-out of the dynamic part is ours
Expected:  see the table in README.md
"""

from configs import base


def get_config(arguments="bod"):
    words = set(arguments.split(","))
    if not words <= {"plain", "bod", "smoke"} or len(words & {"plain", "bod"}) != 1:
        raise ValueError(
            f"configs/demo.py takes plain or bod, then optionally smoke. Received: {arguments!r}"
        )
    config = base.get_config()
    config.decoupled = "bod" in words
    config.name = "demo-bod" if config.decoupled else "demo-plain"
    config.epochs = 28
    config.data.source = "built-in"
    config.clips.update(
        {"frames": 10, "size": 32, "batch_size": 64, "recipe": "motion", "cache_mb": 512}
    )
    config.encoder.name = "frame_cnn"
    config.head.update({"hidden": 128, "width": 32})
    config.koopman.update({"count": 1, "order": 16, "basis": 24})
    config.framework.update({"temperature": 0.2, "dynamic_weight": 3.0, "base_weight": 2.0})
    config.optimizer.learning_rate = 2e-3
    if "smoke" in words:
        config.name += "-smoke"
        config.epochs = 3
        config.built_in.update({"train": 128, "probe_train": 160, "probe_test": 80})
        config.clips.batch_size = 32
    return config
