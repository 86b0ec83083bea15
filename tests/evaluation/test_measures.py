"""Neighbours, retrieval, k-NN votes, classification scores and low-shot draws against slow truths."""

import csv

import matplotlib.image
import numpy as np
import pytest

from bod_keras.evaluation.classification import classification_scores, write_classification
from bod_keras.evaluation.contact_sheet import contact_sheet
from bod_keras.evaluation.knn import knn_accuracy, knn_scores
from bod_keras.evaluation.low_shot import low_shot
from bod_keras.evaluation.neighbours import nearest_neighbours
from bod_keras.evaluation.retrieval import retrieval_recalls


def slow_neighbours(gallery, queries, k, centre):
    """Row by row, by sorting (similarity, index)."""
    if centre:
        gallery, queries = gallery - gallery.mean(axis=0), queries - queries.mean(axis=0)
    found = []
    for query in queries:
        cosines = [
            round(float(query @ x / np.linalg.norm(query) / np.linalg.norm(x)), 12) for x in gallery
        ]
        found.append(sorted(range(len(gallery)), key=lambda i: (-cosines[i], i))[:k])
    return np.array(found)


@pytest.fixture
def sets():
    """A gallery with some rows twice, so that there are ties; queries; classes of both."""
    rng = np.random.default_rng(0)
    gallery = rng.integers(-2, 3, (30, 3)) + 0.5
    gallery[20:] = gallery[:10]
    return gallery, np.arange(30) % 4, rng.normal(size=(12, 3)), np.arange(12) % 4


@pytest.mark.parametrize("centre", [False, True])
@pytest.mark.parametrize("k", [1, 7, 30])
def test_neighbours_and_ties(sets, k, centre):
    gallery, _, queries, _ = sets
    index, similarity = nearest_neighbours(gallery, queries, k, centre)
    np.testing.assert_array_equal(index, slow_neighbours(gallery, queries, k, centre))
    assert (np.diff(similarity, axis=1) <= 0).all()


def test_too_many_neighbours_are_refused(sets):
    with pytest.raises(ValueError, match="k must be between 1 and the rows of the gallery, 30"):
        nearest_neighbours(sets[0], sets[2], 31)


@pytest.mark.parametrize("centre", [False, True])
def test_recalls(sets, centre):
    gallery, gallery_y, queries, queries_y = sets
    found = retrieval_recalls(*sets, ks=(1, 5, 10, 50), centre=centre)
    expected = {}
    for k in (1, 5, 10):  # 50 are more than there are
        rows = slow_neighbours(gallery, queries, k, centre)
        hits = [any(gallery_y[i] == y for i in row) for row, y in zip(rows, queries_y)]
        expected[f"R@{k}"] = sum(hits) / len(hits)
    assert found == expected
    with pytest.raises(ValueError, match="no larger than the gallery, 30, received .50,."):
        retrieval_recalls(*sets, ks=(50,))


def test_votes(sets):
    gallery, gallery_y, queries, queries_y = sets
    votes = knn_scores(gallery, gallery_y, queries, classes=[3, 2, 1, 0], k=5, temperature=0.1)
    rows = slow_neighbours(gallery, queries, 5, False)
    for vote, row, query in zip(votes, rows, queries):
        slow = np.zeros(4)
        for i in row:
            cosine = query @ gallery[i] / np.linalg.norm(query) / np.linalg.norm(gallery[i])
            slow[3 - gallery_y[i]] += np.exp(cosine / 0.1)
        np.testing.assert_allclose(vote, slow / slow.sum(), atol=1e-9)
    answers = 3 - votes.argmax(axis=1)
    accuracy = knn_accuracy(gallery, gallery_y, queries, queries_y, k=5, temperature=0.1)
    assert accuracy == np.mean(answers == queries_y)


def test_classification_by_hand(tmp_path):
    """Seven classes; two videos of the first, one of each of three others."""
    scores = np.zeros((5, 7))
    for row, answer in enumerate([0, 1, 1, 1, 6]):
        scores[row, answer] = 1.0
    names = [f"class {c}" for c in range(7)]
    result = classification_scores(scores, [0, 0, 1, 5, 6], names)
    assert result["top1"] == 3 / 5
    # Of equal scores the smaller class comes first: the fifth place of row 3 is class 4's (1, 0, 2, 3, 4).
    assert result["top5"] == 4 / 5
    assert result["mean_class"] == (1 / 2 + 1 + 0 + 1) / 4
    first = result["per_class"][0]
    assert (first["videos"], first["precision"], first["taken_for"]) == (2, 1.0, "class 1")
    assert result["per_class"][1]["precision"] == 1 / 3
    assert result["per_class"][2]["top1"] is None
    assert result["confusion"][0].tolist() == [1, 1, 0, 0, 0, 0, 0]
    per_class, confusion, png = write_classification(result, tmp_path)
    with open(confusion, newline="") as file:
        rows = list(csv.reader(file))
    assert rows[0] == ["class", *names] and rows[6] == ["class 5", "0", "1", *"00000"]
    with open(per_class, newline="") as file:
        assert next(csv.DictReader(file))["taken_for"] == "class 1"
    assert matplotlib.image.imread(png).std() > 0
    with pytest.raises(
        ValueError, match="labels must be columns of scores, 0 to 6, received 0 to 7"
    ):
        classification_scores(scores, [0, 0, 1, 5, 7], names)


def test_low_shot_draws():
    labels = np.repeat([0, 1, 2], [10, 20, 5])
    few, more = low_shot(labels, per_class=1, seed=3), low_shot(labels, per_class=5, seed=3)
    assert np.bincount(labels[more]).tolist() == [5, 5, 5]
    assert set(few) <= set(more)
    assert np.bincount(labels[low_shot(labels, share=0.1)]).tolist() == [1, 2, 1]
    assert set(low_shot(labels, per_class=1, seed=4)) != set(few)
    with pytest.raises(ValueError, match="classes with fewer: {'2': 5}"):
        low_shot(labels, per_class=6)
    with pytest.raises(ValueError, match="Give one of per_class"):
        low_shot(labels)


def test_a_contact_sheet_tells_right_from_wrong(tmp_path):
    grey = np.full((16, 16, 3), 128, np.uint8)
    sheets = []
    for right in (True, False):
        contact_sheet([[grey, grey]], [["run", "run"]], [[right]], tmp_path / f"{right}.png")
        picture = matplotlib.image.imread(tmp_path / f"{right}.png")[..., :3]
        sheets.append((picture[..., 1] > picture[..., 0] + 0.2).sum())  # green
    assert sheets[0] > 100 and sheets[1] == 0
