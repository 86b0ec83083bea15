"""k-NN with the settings of lightly's benchmarks, on videos.

Command:     python evaluate.py --model=RUN --protocol=knn-lightly
Source:      github.com/lightly-ai/lightly, lightly/utils/benchmarking/knn.py and knn_classifier.py, the
             rule of Wu et al., arXiv 1805.01978
Features:    mean over space and time of the backbone's last map
Clips:       as in pre-training
Views:       1 clip, centered in time, center crop: theirs are single images
Batch norm:  frozen, its moving statistics
Normalized:  L2; 200 neighbors, weight exp(cosine / 0.1)
Chosen:      nothing
Reported:    on the test videos
Differs:     videos in place of images
Unverified:  nothing
"""

from bod_keras.configs.protocols.common import on_features


def get_config():
    return on_features(
        "knn-lightly",
        1,
        "knn",
        parts=("pooled",),
        read_out="pooled",
        k=200,
        temperature=0.1,
    )
