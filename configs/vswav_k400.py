"""v-SwAV on Kinetics-400, plain or decoupled (BOD-VCL).

Command:   python train.py --config=configs/vswav_k400.py:bod
           --config.data.source=/path/to/kinetics400/train
           The source is a folder, a list "path label", or a CSV file; labels are not used.
Arguments: plain, bod or paper; optionally rho3 or rho4 (clips a video; 2 without it), and smoke (tiny, on the
           built-in data: does it run?), as in configs/vswav_k400.py:bod,smoke
Paper:     Feichtenhofer et al., arXiv 2104.14558, rho-SwAV; decoupled: Song et al., arXiv 2407.14069
Published: plain, rho = 2: linear probe on Kinetics-400 62.6, UCF101 90.2 after fine-tuning (top-1 %)
           We have not run it: no number of ours is claimed, for either form.
Cost:      200 epochs of 240,000 videos; published with 64 videos a step on each machine of 8 GPUs
Sources:   Frames, crops, colors, epochs, warm-up: the study's code, configs/contrastive_ssl.
           In its code: 1000 prototypes, frozen for an epoch, epsilon 0.05, 3 iterations, no queue,
           temperature 0.1.
           Its SwAV config is not public: head and LARS are those of its SimCLR.
           Ours: the decoupling by its defaults (configs/base.py); the head acts on every frame.
"""

from bod_keras.configs import recipe


def get_config(arguments="bod"):
    config, chosen = recipe.kinetics400("vswav", arguments)
    config.head.update({"hidden": 2048, "width": 128, "depth": 3})
    config.framework.update(
        {"temperature": 0.1, "prototypes": 1000, "freeze_epochs": 1.0, "epsilon": 0.05}
    )
    config.optimizer.update({"name": "lars", "learning_rate": 0.6, "weight_decay": 1e-6})
    return recipe.finish(config, chosen)
