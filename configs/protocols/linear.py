"""Our linear probe: logistic regression on frozen features.

Command:  python evaluate.py --model=RUN --protocol=linear
"""

from configs.protocols.common import on_features


def get_config():
    return on_features("linear", 1, "linear", solver="auto")
