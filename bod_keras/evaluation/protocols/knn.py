"""The weighted vote of the nearest training videos."""

from __future__ import annotations

from typing import Any

from ml_collections import ConfigDict

from bod_keras.evaluation.probes.knn import knn_scores
from bod_keras.evaluation.protocols._kinds import kind
from bod_keras.evaluation.protocols.classify import classify_features
from bod_keras.evaluation.protocols.subject import Subject


@kind("knn", as_in_the_run=True)
def run_knn(subject: Subject, protocol: ConfigDict) -> dict[str, Any]:
    """Take the votes of `knn_scores` for every label column and part."""

    def score(train_x, train_y, test_x, classes):
        return knn_scores(train_x, train_y, test_x, classes, protocol.k, protocol.temperature)

    return classify_features(subject, protocol, "knn", score)
