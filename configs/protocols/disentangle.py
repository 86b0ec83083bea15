"""Ours: how far static and dynamic factors are apart in the two parts of a run.

Command:     python evaluate.py --model=RUN --protocol=disentangle
Features:    static and dynamic part of the test videos
Views:       1 clip, centered in time, center crop
Measures:    modularity, compactness and explicitness of DCI, with gradient-boosted trees that learn from four
             fifths of the test videos (bod_keras.evaluation.dci); swap: how often the looks of one video with
             the motion of another find a video that has both (bod_keras.evaluation.swap_retrieval), and its
             chance
Factors:     digit and direction of the built-in videos, columns called static and dynamic, and of other data
             --set="static_factors=('shape',)" and so on
"""

from bod_keras.configs.protocols.common import on_features


def get_config():
    return on_features(
        "disentangle",
        1,
        "disentangle",
        static_factors=("digit", "static"),
        dynamic_factors=("direction", "dynamic"),
        trees=20,  # rounds of boosting, of depth 3
        pairs=1000,  # of videos whose looks and motion are joined
    )
