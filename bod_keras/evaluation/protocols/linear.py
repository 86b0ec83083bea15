"""A linear classifier on frozen features that were extracted once."""

from bod_keras.evaluation.linear_probe import linear_scores
from bod_keras.evaluation.protocols.classify import classify_features

# Rows x columns x classes beyond which "auto" leaves scikit-learn for Keras: minutes of a core.
_LARGE = 2e10


def run(subject, protocol) -> dict:
    """Multinomial logistic regression, as `linear_scores`, for every label column and part.

    Args:
        subject: a `Subject`.
        protocol: with `solver`: "lbfgs" (scikit-learn), "keras" (on the accelerator), or "auto", which takes
            the first for small sets and the second for large ones; both minimise one objective.

    Returns:
        As `classify_features`, and `solver`, what was used.
    """
    used = set()

    def score(train_x, train_y, test_x, classes):
        solver = protocol.solver
        if solver == "auto":
            solver = "keras" if train_x.size * len(classes) > _LARGE else "lbfgs"
        used.add(solver)
        return linear_scores(train_x, train_y, test_x, classes, seed=subject.seed, solver=solver)

    return {**classify_features(subject, protocol, "linear", score), "solver": sorted(used)}
