"""Retrieval as TCLR reports it on UCF101 and HMDB51.

Command:     python evaluate.py --model=RUN --dataset=ucf101 --root=VIDEOS --annotations=LISTS --split=1 \
               --protocol=retrieval-tclr
Source:      Dave et al., "TCLR: Temporal Contrastive Learning for Video Representation", arXiv 2101.07974;
             github.com/DAVEISHAN/TCLR, nn_retrieval/
Features:    mean over space of the backbone's last map; its 4 time steps side by side (2048 numbers of
             R3D-18), averaged over the views. An encoder with more steps is averaged to 4
Clips:       16 frames, every second, 112 x 112
Views:       9 clips, evenly spaced; theirs end 10 frames before the last possible start plus one stride
Batch norm:  frozen, its moving statistics
Normalized:  L2; cosine similarity; not centered
Chosen:      nothing
Reported:    R@1, 5, 10, 20, queries test, gallery train of split 1
Differs:     their crop is the centered square of 0.8 of a height of 240 pixels, here the whole centered
             square. Videos that they cannot read drop out, there as here
Unverified:  their frames are RGB here; their code reads BGR
"""

from bod_keras.configs.protocols.common import on_features


def get_config():
    return on_features(
        "retrieval-tclr",
        1,
        "retrieval",
        views=9,
        frames=16,
        stride=2,
        size=112,
        parts=("pooled",),
        read_out="pooled",
        time_steps=4,
        ks=(1, 5, 10, 20),
        center=False,
    )
