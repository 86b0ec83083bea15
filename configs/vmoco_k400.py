"""v-MoCo on Kinetics-400, plain or decoupled (BOD-VCL).

Command:   python train.py --config=configs/vmoco_k400.py:bod
           --config.data.source=/path/to/kinetics400/train
           The source is a folder, a list "path label", or a CSV file; labels are not used.
Arguments: plain, bod or paper; optionally rho3 or rho4 (clips a video; 2 without it), and smoke (tiny, on the
           built-in data: does it run?), as in configs/vmoco_k400.py:bod,smoke
Paper:     Feichtenhofer et al., arXiv 2104.14558, rho-MoCo; decoupled: Song et al., arXiv 2407.14069
Published: plain, rho = 2: linear probe on Kinetics-400 66.6, UCF101 91.3 after fine-tuning (top-1 %)
           We have not run it: no number of ours is claimed, for either form.
Cost:      200 epochs of 240,000 videos; published with 64 videos a step on each machine of 8 GPUs
Sources:   Frames, crops, colors, epochs, warm-up: the study's code, configs/contrastive_ssl.
           There too: temperature, 3-layer head of 2048, queue, momentum 0.994 annealed to 1, no update
           before the queue is full, SGD with 0.1 for 64 clips; its decay of 1e-4 is 1e-3 in Keras'
           decoupled form.
           Ours: the decoupling by its defaults (configs/base.py); the head acts on every frame.
"""

from bod_keras.configs import recipe


def get_config(arguments="bod"):
    config, chosen = recipe.kinetics400("vmoco", arguments)
    config.head.update({"hidden": 2048, "width": 128, "depth": 3})
    config.framework.update(
        {"temperature": 0.1, "queue_size": 65536, "wait_for_queue": True, "momentum": 0.994}
    )
    config.optimizer.update({"name": "sgd", "learning_rate": 0.1, "weight_decay": 1e-3})
    return recipe.finish(config, chosen)
