"""Our k-NN: weighted vote of the 20 nearest training videos by cosine similarity, temperature 0.07.

Command:  python evaluate.py --model=RUN --protocol=knn
"""

from configs.protocols.common import on_features


def get_config():
    return on_features("knn", 1, "knn", k=20, temperature=0.07)
