"""Ours: multinomial logistic regression on frozen features, every choice made on the training videos.

Command:     python evaluate.py --model=RUN --protocol=linear
Features:    of each part of the read-out (time mean of the encoder's features; static part; dynamic part)
Views:       1 clip, centered in time, center crop (--set=views=10 --set=crops=3 for the usual 30)
Batch norm:  frozen, its moving statistics; no dropout; deterministic
Normalized:  each feature to mean 0 and variance 1, by the training videos
Optimizer:   to convergence: L-BFGS of scikit-learn
Chosen:      the L2 penalty, among five, on a quarter of each class of train; then fitted to all of train
Reported:    the converged classifier, on test, once
Unverified:  nothing: it follows no publication
"""

from bod_keras.configs.protocols.common import on_features


def get_config():
    return on_features("linear", 2, "linear")
