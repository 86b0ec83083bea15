"""v-SimCLR on Kinetics-400, plain or decoupled (BOD-VCL).

Command:   python train.py --config=configs/vsimclr_k400.py:bod
           --config.data.source=/path/to/kinetics400/train
           The source is a folder, a list "path label", or a CSV file; labels are not used.
Arguments: plain, bod or paper; optionally rho3 or rho4 (clips a video; 2 without it) and with rho4 twice the
           learning rate, and smoke (tiny, on the built-in data: does it run?), as in
           configs/vsimclr_k400.py:bod,smoke
Paper:     Feichtenhofer et al., arXiv 2104.14558, rho-SimCLR; decoupled: Song et al., arXiv 2407.14069
Published: plain, rho = 2: linear probe on Kinetics-400 61.5, UCF101 88.3 after fine-tuning (top-1 %)
           We have not run it: no number of ours is claimed, for either form.
Cost:      200 epochs of 240,000 videos; published with 64 videos a step on each machine of 8 GPUs
Sources:   Frames, crops, colors, epochs, warm-up: the study's code, configs/contrastive_ssl.
           There too: temperature, 3-layer head of 2048, LARS with 0.6 for 64 clips (1.2 for rho = 4), decay
           1e-6.
           Ours: the decoupling by its defaults (configs/base.py); the head acts on every frame.
"""

from bod_keras.configs import recipe


def get_config(arguments="bod"):
    config, chosen = recipe.kinetics400("vsimclr", arguments)
    config.head.update({"hidden": 2048, "width": 128, "depth": 3})
    config.framework.temperature = 0.1
    config.optimizer.update(
        {
            "name": "lars",
            "learning_rate": 1.2 if chosen.views == 4 else 0.6,
            "weight_decay": 1e-6,
        }
    )
    return recipe.finish(config, chosen)
