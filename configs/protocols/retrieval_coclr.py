"""Retrieval as CoCLR reports it on UCF101 and HMDB51.

Command:     python evaluate.py --model=RUN --dataset=ucf101 --root=VIDEOS --annotations=LISTS --split=1 \
               --protocol=retrieval-coclr
Source:      Han et al., "Self-supervised Co-training for Video Representation Learning", arXiv 2010.09709;
             github.com/TengdaHan/CoCLR, eval/main_classifier.py, `test_retrieval`
Features:    mean over space and time of the backbone's last map, averaged over the views
Clips:       32 frames, every one, 128 x 128, center crop
Views:       theirs: windows that overlap by a little more than half (a step of 15 frames), as many as fit;
             here 10, evenly spaced
Batch norm:  frozen, its moving statistics
Normalized:  each of the two sets centered by its own mean, then L2; cosine similarity
Chosen:      nothing
Reported:    R@1, 5, 10, 20, 50, queries test, gallery train of split 1
Differs:     the views, see there. Their transform keeps a color jitter on at test (probability 0.3), so
             that their features are not deterministic: left out. They leave out videos of 17 frames or
             fewer and fill others that are shorter than a clip with their first frame; here they are looped
Unverified:  that the published table was made with this version of their code
"""

from bod_keras.configs.protocols.common import on_features


def get_config():
    return on_features(
        "retrieval-coclr",
        1,
        "retrieval",
        views=10,
        frames=32,
        stride=1,
        size=128,
        parts=("pooled",),
        read_out="pooled",
        ks=(1, 5, 10, 20, 50),
        center=True,
    )
