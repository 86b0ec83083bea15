"""Which part of the read-out knows which label or factor: linear probe and k-NN of each.

Command:  python evaluate.py --model=RUN --protocol=factors
"""

from configs.protocols.common import on_features


def get_config():
    return on_features("factors", 1, "factors")
