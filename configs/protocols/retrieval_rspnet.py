"""Retrieval as RSPNet reports it on UCF101.

Command:     python evaluate.py --model=RUN --dataset=ucf101 --root=VIDEOS --annotations=LISTS --split=1 \
               --protocol=retrieval-rspnet
Source:      Chen et al., "RSPNet: Relative Speed Perception for Unsupervised Video Representation
             Learning", arXiv 2011.07949; github.com/PeihaoChen/RSPNet, retrieval.py, config/retrieval/
Features:    mean over space and time of the backbone's last map, averaged over the views
Clips:       16 frames, every one, 112 x 112, center crop
Views:       10 clips, evenly spaced from the first to the last possible start
Batch norm:  frozen, its moving statistics
Normalized:  cosine similarity; not centered
Chosen:      nothing
Reported:    R@1, 5, 10, 20, 50, queries test, gallery train of split 1
Differs:     they round the starts of the clips, here they are rounded down; a video shorter than a clip is
             looped
Unverified:  that their training split is read with the same ten clips (their option force_n_crop says so)
"""

from bod_keras.configs.protocols.common import on_features


def get_config():
    return on_features(
        "retrieval-rspnet",
        1,
        "retrieval",
        views=10,
        frames=16,
        stride=1,
        size=112,
        parts=("pooled",),
        read_out="pooled",
        ks=(1, 5, 10, 20, 50),
        center=False,
    )
