"""Ours: static bias. A probe of ordinary clips meets shuffled frames, stills, other backgrounds, motion alone.

Command:     python evaluate.py --model=RUN --protocol=bias
             python evaluate.py --model=RUN --protocol=bias --dataset=ucf101-24 --root=DIR --annotations=LISTS
Features:    of each part; 1 clip, centered in time, center crop
Learned:     logistic regression, as linear.py, on ordinary training clips; for first_frame and appearance_free
             on training clips that are so, too
Conditions:  ordered; shuffled; first_frame (repeated); background (what moves over the background of another
             video); appearance_free (noise that flow moves)
Of actors:   with boxes or masks: scuba_stripes, scuba_photos (the actor over stripes, over pictures), scufo_*
             (their middle frame, repeated), human_only, background_only (inpainted), action_swap (the actor
             over the scene of a video of another class)
Source:      SCUBA and SCUFO: Li et al., arXiv 2211.12883; HAT: Chung et al., NeurIPS 2022; appearance-free:
             Ilic et al., arXiv 2207.06261; classes that need order: Sevilla-Lara et al., WACV 2021
Differs:     the published clips come with RAFT's flow, other inpainting, other masks and backgrounds, and a
             network that was trained for them; here features are frozen: do not compare the numbers
"""

from ml_collections import config_dict

from bod_keras.configs.protocols.common import protocol


def get_config():
    return protocol(
        "bias",
        1,
        "bias",
        label=config_dict.placeholder(str),  # the column; None: "label", or the first factor
        masks="",  # folder with a mask video, or a folder of frames, of each video's name; empty: boxes
        photos="",  # folder of pictures for backgrounds; empty: stripes alone
        appearance_free=True,
        swap_threshold=0.08,
        subset="",  # CSV whose first column names the test videos that count; empty: all
        temporal_classes=(),  # names of classes that need order, which get rows of their own
        static_classes=(),
    )
