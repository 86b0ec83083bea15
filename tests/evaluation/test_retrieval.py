"""Nearest neighbors and recalls against loops over single samples; ties, blocks, errors."""

import numpy as np
import pytest

from bod_keras.evaluation import nearest_neighbors, retrieval_recalls
from bod_keras.evaluation.probes import neighbors as module


def slow_neighbors(gallery, queries, k, center=False):
    """One query and one gallery row at a time; equal similarities by index."""
    if center:
        gallery, queries = gallery - gallery.mean(axis=0), queries - queries.mean(axis=0)
    lists = []
    for query in queries:
        pairs = []
        for i, row in enumerate(gallery):
            lengths = np.sqrt(sum(v * v for v in row)) * np.sqrt(sum(v * v for v in query))
            cosine = sum(a * b for a, b in zip(row, query)) / lengths if lengths else 0.0
            pairs.append((-round(cosine, 10), i))
        lists.append([i for _, i in sorted(pairs)[:k]])
    return lists


def slow_recall(gallery, gallery_y, queries, queries_y, k, center):
    hits = 0
    for y, nearest in zip(queries_y, slow_neighbors(gallery, queries, k, center)):
        hits += any(gallery_y[i] == y for i in nearest)
    return hits / len(queries)


def samples(count, seed, classes=6, width=5):
    rng = np.random.default_rng(seed)
    labels = rng.permutation(np.arange(count) % classes)
    return rng.normal(size=(count, width)) + 0.8 * np.eye(classes, width)[labels] + 0.5, labels


@pytest.mark.parametrize("center", [False, True])
@pytest.mark.parametrize("k", [1, 7, 60])
def test_neighbors_equal_the_slow_loop(k, center):
    (gallery, _), (queries, _) = samples(60, 0), samples(25, 1)
    index, similarity = nearest_neighbors(gallery, queries, k, center)
    assert index.tolist() == slow_neighbors(gallery, queries, k, center)
    assert np.all(np.diff(similarity, axis=1) <= 0) and np.all(np.abs(similarity) <= 1)


@pytest.mark.parametrize("scale", [1e-200, 1e200])
def test_lengths_whose_squares_are_out_of_range(scale):
    (gallery, _), (queries, _) = samples(60, 0), samples(25, 1)
    index, similarity = nearest_neighbors(scale * gallery, queries / scale, 5)
    assert index.tolist() == slow_neighbors(gallery, queries, 5)
    assert np.abs(similarity).max() > 0.5


def test_neighbors_in_blocks_are_the_same(monkeypatch):
    (gallery, _), (queries, _) = samples(60, 0), samples(25, 1)
    whole = nearest_neighbors(gallery, queries, 9)
    monkeypatch.setattr(module, "_CELLS_AT_ONCE", 200)
    blocks = nearest_neighbors(gallery, queries, 9)
    assert np.array_equal(whole[0], blocks[0])
    np.testing.assert_allclose(whole[1], blocks[1], atol=1e-12)


@pytest.mark.parametrize("k", [1, 3, 10, 40])
def test_equal_rows_come_by_index(k):
    rows, _ = samples(4, 0, width=33)
    order = np.random.default_rng(1).integers(4, size=40)
    # Copies at different places of a matrix product, and of other lengths, are equally near.
    gallery = rows[order] * np.linspace(0.1, 9, 40)[:, None]
    index, _ = nearest_neighbors(gallery, rows, k)
    assert index.tolist() == slow_neighbors(gallery, rows, k)
    assert nearest_neighbors(np.zeros((5, 2)), np.ones((1, 2)), 3)[0].tolist() == [[0, 1, 2]]


@pytest.mark.parametrize("center", [False, True])
def test_recalls_equal_the_slow_loop(center):
    gallery, queries = samples(54, 2), samples(31, 3)
    result = retrieval_recalls(*gallery, *queries, center=center)
    truth = {f"R@{k}": slow_recall(*gallery, *queries, k, center) for k in (1, 5, 10, 20, 50)}
    assert result == truth
    assert result["R@1"] < result["R@5"] < result["R@20"] <= result["R@50"]


def test_recalls_beyond_the_gallery_are_left_out_and_text_classes_work():
    (gallery, gallery_y), (queries, queries_y) = samples(12, 4), samples(12, 5)
    result = retrieval_recalls(gallery, gallery_y, queries, queries_y)
    assert list(result) == ["R@1", "R@5", "R@10"]
    names = np.array(["a", "b", "c", "d", "e", "f"])
    assert retrieval_recalls(gallery, names[gallery_y], queries, names[queries_y]) == result


def test_errors():
    x, y = samples(12, 0)
    with pytest.raises(
        ValueError, match="k must be between 1 and the rows of the gallery, 12. Re.* 13"
    ):
        nearest_neighbors(x, x, 13)
    with pytest.raises(ValueError, match="gallery and queries .* Received: 5 and 4. Extract"):
        nearest_neighbors(x, x[:, :4], 1)
    with pytest.raises(ValueError, match="queries must be finite. .* 1 of 12 rows, first in row 2"):
        nearest_neighbors(x, np.where(np.arange(12)[:, None] == 2, np.nan, x), 1)
    with pytest.raises(
        ValueError, match=r"ks must be numbers .* gallery, 12. Received: \(20, 50\)"
    ):
        retrieval_recalls(x, y, x, y, ks=(20, 50))
    with pytest.raises(ValueError, match=r"ks must be numbers .* Received: \(0, 1\)"):
        retrieval_recalls(x, y, x, y, ks=(0, 1))
    with pytest.raises(ValueError, match=r"queries \(test\): every class .* Received: \[9\]"):
        retrieval_recalls(x, y, x, np.where(y == 1, 9, y))
    with pytest.raises(ValueError, match=r"gallery_y must hold one class .*\(12,\). .*\(11,\)"):
        retrieval_recalls(x, y[:11], x, y)
