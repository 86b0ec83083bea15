"""v-SwAV on UCF101, plain or decoupled (BOD-VCL).

Command:   python train.py --config=configs/vswav_ucf101.py:bod --config.data.source=/path/to/UCF-101
           The source is a folder, a list "path label", or a CSV file with a split; labels are not used.
Arguments: plain, bod or paper; optionally rho3 or rho4 (clips a video; 2 without it), and smoke (tiny, on the
           built-in data: does it run?), as in configs/vswav_ucf101.py:bod,smoke
Paper:     Feichtenhofer et al., arXiv 2104.14558; data as Dave et al., "TCLR", arXiv 2101.07974; decoupled:
           Song et al., arXiv 2407.14069
Published: none that we know of
           We have not run it: no number of ours is claimed, for either form.
Cost:      one GPU; 9,537 videos, 238 steps an epoch
Sources:   Encoder, 16 frames of 112 x 112, batch 40, Adam with 1e-3: TCLR. Crops and colors: CVRL, arXiv
           2008.03800. Temperature, epsilon, an epoch of frozen prototypes: rho-SwAV. A batch of 40 is too
           small for 1000 prototypes: 300, and a queue of 3,840 from epoch 15 on, as SwAV does for small
           batches (arXiv 2006.09882).
           Ours: R3D-18 keeps all frames (temporal_stride 1), every 2nd frame, 400 epochs, AdamW for Adam,
           the decoupling by its defaults (configs/base.py); the head acts on every frame.
"""

from bod_keras.configs import recipe


def get_config(arguments="bod"):
    config, chosen = recipe.ucf101("vswav", arguments)
    config.framework.update(
        {"temperature": 0.1, "prototypes": 300, "queue_size": 3840, "queue_epochs": 15.0}
    )
    return recipe.finish(config, chosen)
