"""k-NN as SlowFast's self-supervised training tests it on Kinetics.

Command:     python evaluate.py --model=RUN --dataset=kinetics400 --root=VIDEOS --annotations=LISTS \
               --protocol=knn-slowfast
Source:      github.com/facebookresearch/SlowFast, slowfast/models/contrastive.py (`eval_knn`),
             tools/test_net.py, with configs/contrastive_ssl/; Feichtenhofer et al., arXiv 2104.14558
Features:    what the projection head gives, averaged over the views
Clips:       8 frames, every eighth, 224 x 224
Views:       10 clips, evenly spaced, of 3 crops
Batch norm:  frozen, its moving statistics
Normalized:  L2; 200 neighbors, weight exp(cosine / 0.1): their temperature of the contrastive loss
Chosen:      nothing
Reported:    on the validation videos
Differs:     their gallery is a memory that training filled in its last epoch, with augmented clips of a
             network that still moved, and they add up the votes of the 30 views; here the finished network
             reads all videos alike, and one vote is taken with the mean over views. Their test crops have
             256 pixels. Their head sees the time mean, ours every frame. Expect other numbers than theirs.
             Their clips of 300 frames start at 0, 23 .. 212 and
             have frames 9 apart, ours start at 0, 27 .. 243 and are 8 apart: 10 frames off in the mean, 41 at
             most. Videos shorter than a clip repeat their last frame there, and begin again here. The middle
             crop may lie one pixel off
Unverified:  how often it was used: their tables report linear probes
"""

from bod_keras.configs.protocols.common import on_features


def get_config():
    return on_features(
        "knn-slowfast",
        1,
        "knn",
        views=10,
        crops=3,
        frames=8,
        stride=8,
        size=224,
        parts=("projected",),
        read_out="projected",
        k=200,
        temperature=0.1,
    )
