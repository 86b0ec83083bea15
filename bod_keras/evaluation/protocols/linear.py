"""A linear classifier on frozen features that were extracted once."""

from __future__ import annotations

from typing import Any

from ml_collections import ConfigDict

from bod_keras.evaluation.probes.linear_probe import linear_scores
from bod_keras.evaluation.protocols._kinds import kind
from bod_keras.evaluation.protocols.classify import classify_features
from bod_keras.evaluation.protocols.subject import Subject


@kind("linear", as_in_the_run=True)
def run_linear(subject: Subject, protocol: ConfigDict) -> dict[str, Any]:
    """Fit multinomial logistic regression, as `linear_scores`, for every label column and part."""

    def score(train_x, train_y, test_x, classes):
        return linear_scores(train_x, train_y, test_x, classes, seed=subject.seed)

    return classify_features(subject, protocol, "linear", score)
