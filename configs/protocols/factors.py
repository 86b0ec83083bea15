"""Ours: which part of the read-out knows which label or factor: `linear` and `knn` of each, and a plot.

Command:     python evaluate.py --model=RUN --model=OTHER --protocol=factors
Features:    of each part of the read-out (time mean of the encoder's features; static part; dynamic part)
Views:       1 clip, centred in time, centre crop
Others:      as in linear.py and knn.py
"""

from configs.protocols.common import on_features


def get_config():
    return on_features("factors", 1, "factors")
