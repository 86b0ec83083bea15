"""Our linear probe: logistic regression on frozen features.

Command:  python evaluate.py --model=RUN --protocol=linear
"""

from configs.protocols.common import protocol


def get_config():
    return protocol("linear", 1, "linear")
