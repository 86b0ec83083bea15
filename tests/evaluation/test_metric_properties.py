"""Neighbors, votes and recalls equal loops over single samples, for features that hypothesis thinks of."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as some
from hypothesis.extra.numpy import arrays

from bod_keras.evaluation import (
    classification_scores,
    knn_accuracy,
    knn_scores,
    low_shot,
    nearest_neighbors,
    retrieval_recalls,
)

QUICK = settings(max_examples=50, deadline=None, derandomize=True)
# Small integers: many rows are equally near, and some are zero.
rows = some.integers(2, 8).flatmap(lambda n: arrays(float, (n, 3), elements=some.integers(-2, 2)))


def slow_similarities(gallery, queries):
    found = []
    for query in queries:
        cosines = []
        for row in gallery:
            lengths = np.sqrt(sum(row**2)) * np.sqrt(sum(query**2))
            cosines.append(round(sum(row * query) / lengths, 12) if lengths else 0.0)
        found.append(cosines)
    return np.array(found)


def classes_of(count, seed):
    return np.random.default_rng(seed).permutation(np.arange(count) % 3 % max(2, count))


@QUICK
@given(rows, rows, some.data())
def test_any_neighbors_are_those_of_the_loop(gallery, queries, data):
    k = data.draw(some.integers(1, len(gallery)))
    index, similarity = nearest_neighbors(gallery, queries, k)
    truth = slow_similarities(gallery, queries)
    for row, cosines in enumerate(truth):
        order = sorted(range(len(cosines)), key=lambda i: (-cosines[i], i))[:k]
        assert index[row].tolist() == order
        np.testing.assert_allclose(similarity[row], cosines[order], atol=1e-11)


@QUICK
@given(rows, rows, some.integers(1, 12), some.sampled_from([0.05, 0.5, 3.0]), some.integers(0, 9))
def test_any_votes_and_recalls_are_those_of_the_loop(gallery, queries, k, temperature, seed):
    train_y, test_y = classes_of(len(gallery), seed), classes_of(len(queries), seed + 1) % 2
    similarities = slow_similarities(gallery, queries)
    votes, hits = np.zeros((len(queries), 3)), 0
    for row, cosines in enumerate(similarities):
        order = sorted(range(len(cosines)), key=lambda i: (-cosines[i], i))[:k]
        for i in order:
            votes[row, train_y[i]] += np.exp(cosines[i] / temperature)
        hits += any(train_y[i] == test_y[row] for i in order)
    scores = knn_scores(gallery, train_y, queries, range(3), k, temperature)
    np.testing.assert_allclose(scores, votes / votes.sum(axis=1, keepdims=True), atol=1e-9)
    accuracy = np.mean(scores.argmax(axis=1) == test_y)
    assert knn_accuracy(gallery, train_y, queries, test_y, k, temperature) == accuracy
    if k <= len(gallery):
        recalls = retrieval_recalls(gallery, train_y, queries, test_y, ks=(k,))
        assert recalls == {f"R@{k}": hits / len(queries)}


@QUICK
@given(some.integers(2, 8), some.integers(1, 9), some.data())
def test_any_classification_is_counted_one_sample_at_a_time(classes, samples, data):
    level = some.integers(0, 3)  # many ties
    scores = data.draw(arrays(float, (samples, classes), elements=level))
    labels = data.draw(arrays(np.int64, samples, elements=some.integers(0, classes - 1)))
    result = classification_scores(scores, labels, [f"c{i}" for i in range(classes)])
    ranked = [sorted(range(classes), key=lambda c: (-row[c], c)) for row in scores]
    right = [order[0] == label for order, label in zip(ranked, labels)]
    assert result["top1"] == np.mean(right)
    in_five = [label in order[:5] for order, label in zip(ranked, labels)]
    assert result["top5"] == (np.mean(in_five) if classes > 5 else None)
    own = [
        np.mean([r for r, y in zip(right, labels) if y == c]) for c in sorted({*labels.tolist()})
    ]
    assert np.isclose(result["mean_class"], np.mean(own))
    for c, row in enumerate(result["per_class"]):
        answered = [y == c for y, order in zip(labels, ranked) if order[0] == c]
        assert row["videos"] == (labels == c).sum()
        assert row["precision"] == (np.mean(answered) if answered else None)
    assert result["confusion"].sum() == samples


@QUICK
@given(
    some.lists(some.integers(0, 4), min_size=1, max_size=30),
    some.floats(0.01, 1),
    some.integers(0, 9),
)
def test_any_share_takes_its_part_of_each_class(labels, share, seed):
    labels = np.array(labels)
    chosen = low_shot(labels, share=share, seed=seed)
    assert chosen.tolist() == sorted({*chosen.tolist()})
    for label in np.unique(labels):
        wanted = max(1, int(share * (labels == label).sum() + 0.5))
        assert (labels[chosen] == label).sum() == wanted
    fewer = low_shot(labels, share=share / 2, seed=seed)
    assert set(fewer.tolist()) <= set(chosen.tolist())
