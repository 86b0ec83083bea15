"""The weighted vote of the nearest training videos."""

from bod_keras.evaluation.knn import knn_scores
from bod_keras.evaluation.protocols._kinds import kind
from bod_keras.evaluation.protocols.classify import classify_features


@kind("knn", as_in_the_run=True)
def run_knn(subject, protocol) -> dict:
    """Take the votes of `knn_scores` for every label column and part."""

    def score(train_x, train_y, test_x, classes):
        return knn_scores(train_x, train_y, test_x, classes, protocol.k, protocol.temperature)

    return classify_features(subject, protocol, "knn", score)
