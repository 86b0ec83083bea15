"""Ours: nearest training videos of each test video, R@k: does any of the first k show the class?

Command:     python evaluate.py --model=RUN --protocol=retrieval
Features:    of each part of the read-out (time mean of the encoder's features; static part; dynamic part),
             averaged over the views
Views:       10 clips, evenly spaced, center crop
Batch norm:  frozen, its moving statistics; no augmentation; deterministic
Normalized:  L2, not centered: a centering by the test set's own mean uses other test videos for the answer to
             one
Chosen:      nothing
Reported:    R@1, 5, 10, 20, 50, gallery train, queries test; ties by the order of the training list
Unverified:  nothing: it follows no publication
"""

from bod_keras.configs.protocols.common import on_features


def get_config():
    return on_features("retrieval", 1, "retrieval", views=10, ks=(1, 5, 10, 20, 50), center=False)
