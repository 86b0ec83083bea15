"""Our k-NN: weighted vote of the 20 nearest training videos by cosine similarity, temperature 0.07.

Command:  python evaluate.py --model=RUN --protocol=knn
"""

from configs.protocols.common import protocol


def get_config():
    return protocol("knn", 1, "knn")
