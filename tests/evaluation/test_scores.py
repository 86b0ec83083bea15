"""Scores of the nearest neighbours and of the linear probe: truths, and both solvers."""

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler

from bod_keras.evaluation import knn_accuracy, knn_scores, linear_probe, linear_scores
from bod_keras.evaluation import logistic_regression as module


def split(classes=5, count=90, width=12, spread=1.6):
    rng = np.random.default_rng(0)
    centres = rng.normal(size=(classes, width))
    labels = [rng.permutation(np.arange(count) % classes) for _ in range(2)]
    train, test = (centres[y] + spread * rng.normal(size=(count, width)) for y in labels)
    return train, labels[0], test, labels[1]


def slow_knn_scores(train_x, train_y, test_x, classes, k, temperature):
    rows = []
    for x in test_x:
        cosine = [x @ t / (np.linalg.norm(x) * np.linalg.norm(t)) for t in train_x]
        votes = dict.fromkeys(classes, 0.0)
        for i in sorted(range(len(train_x)), key=lambda i: (-round(cosine[i], 10), i))[:k]:
            votes[train_y[i]] += np.exp(cosine[i] / temperature)
        rows.append([votes[c] / sum(votes.values()) for c in classes])
    return np.array(rows)


@pytest.mark.parametrize("k, temperature", [(1, 0.07), (20, 0.07), (90, 0.5)])
def test_knn_scores_equal_the_slow_loop(k, temperature):
    train_x, train_y, test_x, test_y = split()
    classes = [3, 0, 7, 1, 4, 2]  # in any order, and one that train lacks
    scores = knn_scores(train_x, train_y, test_x, classes, k, temperature)
    truth = slow_knn_scores(train_x, train_y.tolist(), test_x, classes, k, temperature)
    np.testing.assert_allclose(scores, truth, atol=1e-10)
    assert np.all(scores[:, 2] == 0)
    accuracy = np.mean(np.array(classes)[scores.argmax(axis=1)] == test_y)
    assert knn_accuracy(train_x, train_y, test_x, test_y, k, temperature) == accuracy


def test_linear_scores_are_the_probe():
    train_x, train_y, test_x, test_y = split()
    scores = linear_scores(train_x, train_y, test_x, [4, 3, 9, 2, 1, 0])
    assert np.all(scores[:, 2] == 0)
    np.testing.assert_allclose(scores.sum(axis=1), 1.0)
    answers = np.array([4, 3, 9, 2, 1, 0])[scores.argmax(axis=1)]
    accuracy = linear_probe(train_x, train_y, test_x, test_y)
    assert 0.3 < accuracy < 0.9 and accuracy == np.mean(answers == test_y)


@pytest.mark.parametrize("classes", [2, 5])
@pytest.mark.parametrize("strength", [1e-3, 1e-1, 10.0])
def test_both_solvers_reach_one_optimum(classes, strength):
    train_x, train_y, test_x, _ = split(classes)
    scaler = StandardScaler().fit(train_x)
    train_x, test_x = scaler.transform(train_x), scaler.transform(test_x)
    exact = LogisticRegression(C=strength, tol=1e-9, max_iter=20000).fit(train_x, train_y)
    (predict,) = module.fit_logistic_regression(train_x, train_y, classes, [strength])
    np.testing.assert_allclose(predict(test_x), exact.predict_proba(test_x), atol=2e-3)


@pytest.mark.parametrize("classes", [2, 5])
def test_the_probe_is_the_same_with_both_solvers_and_twice(classes):
    train_x, train_y, test_x, test_y = split(classes)
    names = np.array(["run", "jump", "swim", "turn", "fall"])
    arrays = (train_x, names[train_y], test_x)
    columns = sorted(names[:classes])
    first = linear_scores(*arrays, columns, solver="keras")
    np.testing.assert_allclose(first, linear_scores(*arrays, columns), atol=5e-3)
    assert np.array_equal(first, linear_scores(*arrays, columns, solver="keras"))
    probes = [
        linear_probe(train_x, train_y, test_x, test_y, solver=solver)
        for solver in ("keras", "lbfgs")
    ]
    assert probes[0] == probes[1]


def test_blocks_do_not_change_the_fit(monkeypatch):
    train_x, train_y, test_x, _ = split()
    (whole,) = module.fit_logistic_regression(train_x, train_y, 5, [1.0])
    monkeypatch.setattr(module, "_ROWS_AT_ONCE", 32)
    (blocks,) = module.fit_logistic_regression(train_x, train_y, 5, [1.0])
    np.testing.assert_allclose(whole(test_x), blocks(test_x), atol=2e-3)


def test_errors(monkeypatch):
    train_x, train_y, test_x, _ = split()
    with pytest.raises(ValueError, match="solver must be one of lbfgs, keras, received 'adam'"):
        linear_scores(train_x, train_y, test_x, range(5), solver="adam")
    for scores in (linear_scores, knn_scores):
        with pytest.raises(ValueError, match=r"train_y must hold only .* received \[4\] besides"):
            scores(train_x, train_y, test_x, range(4))
        with pytest.raises(ValueError, match="classes must name each class once"):
            scores(train_x, train_y, test_x, [0, 1, 2, 3, 4, 4])
    monkeypatch.setattr(module, "_ITERATIONS", 2)
    with pytest.raises(
        RuntimeError, match="C=10 did not converge: after 2 steps .* expected below"
    ):
        list(module.fit_logistic_regression(train_x, train_y, 5, [10.0]))
