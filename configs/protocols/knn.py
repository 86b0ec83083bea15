"""Ours: weighted vote of the 20 nearest training videos by cosine similarity.

Command:     python evaluate.py --model=RUN --protocol=knn
Features:    of each part of the read-out (time mean of the encoder's features; static part; dynamic part)
Views:       1 clip, centered in time, center crop
Batch norm:  frozen, its moving statistics; deterministic
Normalized:  L2
Optimizer:   none; the weight of a neighbor is exp(cosine / 0.07)
Chosen:      nothing
Reported:    on test, once
Source:      the rule of Wu et al., arXiv 1805.01978, section 3.4, with the 20 neighbors of Caron et al.
             (DINO), arXiv 2104.14294
Unverified:  nothing: no publication has exactly these choices on videos
"""

from bod_keras.configs.protocols.common import on_features


def get_config():
    return on_features("knn", 1, "knn", k=20, temperature=0.07)
