"""Ours: which part of the read-out knows which label or factor: probes of each, a plot, a table.

Command:     python evaluate.py --model=RUN --model=OTHER --protocol=factors
Features:    of each part of the read-out (time mean of the encoder's features; static part; dynamic part)
Views:       1 clip, centered in time, center crop
Measures:    linear and k-NN as in linear.py and knn.py; mlp, a network with one hidden layer, its width and
             penalty chosen on a quarter of the training videos (bod_keras.evaluation.mlp_probe)
Table:       excess of both parts over chance for the columns that are static and dynamic: digit and direction
             of the built-in videos, columns called static and dynamic, and of other data
             --set="static_factors=('shape',)" and so on. Each part should know its own and not the other
Version:     2 adds mlp and the table to version 1, and changes no number of it
"""

from bod_keras.configs.protocols.common import on_features


def get_config():
    return on_features(
        "factors",
        2,
        "factors",
        measures=("linear", "knn", "mlp"),
        static_factors=("digit", "static"),
        dynamic_factors=("direction", "dynamic"),
    )
