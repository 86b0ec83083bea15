"""v-MoCo on UCF101, plain or decoupled (BOD-VCL).

Command:   python train.py --config=configs/vmoco_ucf101.py:bod --config.data.source=/path/to/UCF-101
           The source is a folder, a list "path label", or a CSV file with a split; labels are not used.
Arguments: plain, bod or paper; optionally rho3 or rho4 (clips a video; 2 without it), and smoke (tiny, on the
           built-in data: does it run?), as in configs/vmoco_ucf101.py:bod,smoke
Paper:     Han et al., "CoCLR", arXiv 2010.09709, its InfoNCE baseline; decoupled: Song et al., arXiv
           2407.14069
Published: plain, with S3D on 32 frames of 128 x 128: linear probe 46.8, retrieval R@1 33.1 (top-1 %, split
           1)
           We have not run it: no number of ours is claimed, for either form.
Cost:      one GPU; 9,537 videos, 238 steps an epoch
Sources:   Queue of 2,048, momentum 0.999, temperature 0.07, Adam with 1e-3 and decay 1e-5, 32 clips a GPU:
           CoCLR. Encoder and 16 frames of 112 x 112: TCLR. Crops and colors: CVRL, arXiv 2008.03800.
           Ours: R3D-18 keeps all frames (temporal_stride 1), every 2nd frame, 400 epochs, AdamW for Adam,
           the decoupling by its defaults (configs/base.py); the head acts on every frame.
"""

from bod_keras.configs import recipe


def get_config(arguments="bod"):
    config, chosen = recipe.ucf101("vmoco", arguments)
    config.clips.batch_size = 32
    config.framework.update(
        {
            "temperature": 0.07,
            "queue_size": 2048,
            "momentum": 0.999,
            "anneal_momentum": False,
        }
    )
    config.optimizer.weight_decay = 1e-5
    return recipe.finish(config, chosen)
