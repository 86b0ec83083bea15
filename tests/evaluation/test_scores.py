"""Scores of the nearest neighbors and of the linear probe, and their errors."""

import numpy as np
import pytest

from bod_keras.evaluation import knn_accuracy, knn_scores, linear_probe, linear_scores


def split(classes=5, count=90, width=12, spread=1.6):
    rng = np.random.default_rng(0)
    centers = rng.normal(size=(classes, width))
    labels = [rng.permutation(np.arange(count) % classes) for _ in range(2)]
    train, test = (centers[y] + spread * rng.normal(size=(count, width)) for y in labels)
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


def test_errors():
    train_x, train_y, test_x, _ = split()
    for scores in (linear_scores, knn_scores):
        with pytest.raises(ValueError, match=r"train_y must hold only .* Received: \[4\] besides"):
            scores(train_x, train_y, test_x, range(4))
        with pytest.raises(ValueError, match="classes must name each class once"):
            scores(train_x, train_y, test_x, [0, 1, 2, 3, 4, 4])
