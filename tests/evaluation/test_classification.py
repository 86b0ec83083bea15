"""Accuracies, classes and confusion against loops; the files; the low-shot draw."""

import csv

import cv2
import numpy as np
import pytest

from bod_keras.evaluation import (
    classification_scores,
    low_shot,
    plot_confusion,
    write_classification,
)
from tests.tiers import first_of


def data(samples=200, classes=8, seed=0):
    rng = np.random.default_rng(seed)
    labels = rng.integers(classes - 1, size=samples)  # the last class does not occur
    scores = np.round(rng.normal(size=(samples, classes)) + 1.2 * np.eye(classes)[labels], 1)
    return scores, labels, [f"class {i}" for i in range(classes)]


def ranking(row):
    return sorted(range(len(row)), key=lambda c: (-row[c], c))


def test_scores_equal_the_slow_loop():
    scores, labels, names = data()
    result = classification_scores(scores, labels, names)
    top1 = top5 = 0
    confusion = [[0] * 8 for _ in range(8)]
    of_class = [[] for _ in range(8)]
    for row, label in zip(scores, labels):
        ranked = ranking(row)
        top1 += ranked[0] == label
        top5 += label in ranked[:5]
        confusion[label][ranked[0]] += 1
        of_class[label].append(ranked[0] == label)
    assert (result["top1"], result["top5"]) == (top1 / 200, top5 / 200)
    assert result["confusion"].tolist() == confusion
    means = [sum(hits) / len(hits) for hits in of_class if hits]
    assert result["mean_class"] == pytest.approx(sum(means) / 7, abs=1e-12)
    for number, row in enumerate(result["per_class"]):
        assert (row["class"], row["videos"]) == (names[number], len(of_class[number]))
        answers = [i for i in range(200) if ranking(scores[i])[0] == number]
        right = sum(labels[i] == number for i in answers)
        assert row["precision"] == pytest.approx(right / len(answers))
        wrong = [0 if i == number else confusion[number][i] for i in range(8)]
        assert row["times"] == max(wrong)
        assert row["taken_for"] == (names[wrong.index(max(wrong))] if max(wrong) else "")
    assert (result["per_class"][7]["top1"], result["per_class"][7]["taken_for"]) == (None, "")


def test_five_classes_have_no_top5_and_ties_go_to_the_smaller_class():
    result = classification_scores(np.zeros((5, 5)), np.arange(5), "abcde")
    assert (result["top1"], result["top5"], result["mean_class"]) == (0.2, None, 0.2)
    assert result["confusion"][:, 0].tolist() == [1] * 5


def test_files(tmp_path):
    scores, labels, names = data()
    names[3] = 'with "quotes", and a comma'
    result = classification_scores(scores, labels, names)
    paths = write_classification(result, tmp_path / "new")
    assert [path.name for path in paths] == ["per_class.csv", "confusion.csv", "confusion.png"]
    assert {path.name for path in (tmp_path / "new").iterdir()} == {path.name for path in paths}
    with open(paths[0], newline="") as file:
        rows = list(csv.DictReader(file))
    assert rows[3]["class"] == names[3] and rows[7]["top1"] == ""
    assert float(rows[0]["top1"]) == result["per_class"][0]["top1"]
    with open(paths[1], newline="") as file:
        rows = list(csv.reader(file))
    assert rows[0] == ["class", *names]
    assert [[int(cell) for cell in row[1:]] for row in rows[1:]] == result["confusion"].tolist()


@pytest.mark.parametrize("classes", first_of([2, 101, 174]))
def test_picture_grows_with_the_classes(tmp_path, classes):
    confusion = np.diag(np.arange(1, classes + 1))
    confusion[1] = 0  # gray
    plot_confusion(confusion, [f"name {i}" for i in range(classes)], tmp_path / "c.png")
    picture = cv2.imread(str(tmp_path / "c.png"))
    assert picture.shape[0] > {2: 400, 101: 2000, 174: 800}[classes]
    gray = np.all(np.abs(picture.astype(int) - 217) < 3, axis=-1)
    assert gray.sum() > 500
    with pytest.raises(ValueError, match=rf"shape \({classes}, {classes}\).*Received: \(1, 1\)"):
        plot_confusion([[1]], [f"name {i}" for i in range(classes)], tmp_path / "c.png")


def test_errors_of_the_scores():
    scores, labels, names = data()
    with pytest.raises(ValueError, match="name the 8 columns of scores. Received: 7 names"):
        classification_scores(scores, labels, names[:7])
    with pytest.raises(ValueError, match=r"labels must be integers of shape \(200,\). .*float64"):
        classification_scores(scores, labels.astype(float), names)
    with pytest.raises(ValueError, match="columns of scores, 0 to 7. Received: 0 to 8"):
        classification_scores(scores, np.where(labels == 6, 8, labels), names)
    with pytest.raises(ValueError, match="scores must be finite"):
        classification_scores(scores * np.inf, labels, names)


def test_low_shot_takes_so_many_of_each_class_and_nests():
    labels = np.random.default_rng(0).permutation(np.repeat(["a", "b", "c"], [10, 40, 95]))
    five = low_shot(labels, per_class=5, seed=3)
    assert np.unique(labels[five], return_counts=True)[1].tolist() == [5, 5, 5]
    assert set(low_shot(labels, per_class=1, seed=3)) < set(five)
    assert five.tolist() == sorted(five) == low_shot(labels, per_class=5, seed=3).tolist()
    assert five.tolist() != low_shot(labels, per_class=5, seed=4).tolist()
    assert low_shot(labels, 5).tolist() == low_shot(labels, 5, seed=0).tolist()
    share = low_shot(labels, share=0.1)
    assert np.unique(labels[share], return_counts=True)[1].tolist() == [1, 4, 10]
    assert np.unique(labels[low_shot(labels, share=0.01)], return_counts=True)[1].tolist() == [
        1,
        1,
        1,
    ]
    assert low_shot(labels, share=1.0).tolist() == list(range(145))


def test_errors_of_low_shot():
    labels = [0] * 3 + [1] * 9
    with pytest.raises(ValueError, match=r"at least per_class=5 .* fewer: \{'0': 3\}. Lower"):
        low_shot(labels, per_class=5)
    for arguments in ({}, {"per_class": 1, "share": 0.1}):
        with pytest.raises(ValueError, match="Give one of per_class .* Received: per_class="):
            low_shot(labels, **arguments)
    for share in (10, 1.01, 0):
        with pytest.raises(
            ValueError, match=rf"must lie in \(0, 1\]. Received: {share}. Ten per c"
        ):
            low_shot(labels, share=share)
    with pytest.raises(ValueError, match="per_class must be at least 1. Received: 0"):
        low_shot(labels, per_class=0)
    with pytest.raises(ValueError, match=r"shape \(N,\). Received: shape \(0,\)"):
        low_shot([], per_class=1)


ODD_NAMES = (r"a_$\frac$", "$", "50 $ or 60 $", "caf\udce9", "two\nlines", "tab\there", "x" * 200)


def test_tables_and_picture_of_odd_class_names(tmp_path):
    scores = np.eye(len(ODD_NAMES))
    results = classification_scores(scores, np.arange(len(ODD_NAMES)), ODD_NAMES)
    write_classification(results, tmp_path)
    with open(tmp_path / "per_class.csv", newline="", encoding="utf-8") as file:
        found = [row["class"] for row in csv.DictReader(file)]
    assert found == [name.replace("\udce9", r"\udce9") for name in ODD_NAMES]
    assert cv2.imread(str(tmp_path / "confusion.png")) is not None


def test_dollar_signs_are_drawn_as_they_are(tmp_path):
    for file, name in (("a", "$x$"), ("b", "xxx")):
        plot_confusion([[1, 0], [0, 1]], [name, "jump"], tmp_path / f"{file}.png")
    a, b = (cv2.imread(str(tmp_path / f"{file}.png")) for file in "ab")
    # As text it is as wide as three letters; as a formula it would be one, and leave more room.
    assert abs(a.shape[1] - b.shape[1]) < 8 and (a != b).any()
