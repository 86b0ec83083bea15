"""Linear probe, nearest neighbors and the factor table: known answers, determinism, errors."""

import inspect
import warnings

import numpy as np
import pytest
from sklearn import linear_model, neural_network

from bod_keras.evaluation import factor_probes, knn_accuracy, linear_probe, linear_scores, mlp_probe
from bod_keras.evaluation.probes.held_out import choose, held_out_mask


def blobs(count, classes=4, width=6, spread=0.3, seed=0):
    """Points around one center per class: easily told apart at the default spread."""
    centers = 3.0 * np.eye(classes, width)
    labels = np.arange(count) % classes
    noise = np.random.default_rng(seed).normal(size=(count, width))
    return centers[labels] + spread * noise, labels


def slow_knn(train_x, train_y, test_x, test_y, k, temperature):
    """The vote as its definition reads, one sample and one neighbor at a time."""
    correct = 0
    for x, y in zip(test_x, test_y):
        similarity = [x @ t / (np.linalg.norm(x) * np.linalg.norm(t)) for t in train_x]
        votes = dict.fromkeys(sorted(set(train_y.tolist())), 0.0)
        for i in sorted(range(len(train_x)), key=lambda i: -similarity[i])[:k]:
            votes[int(train_y[i])] += np.exp(similarity[i] / temperature)
        correct += max(votes, key=votes.get) == y
    return correct / len(test_x)


@pytest.mark.parametrize("probe", [linear_probe, knn_accuracy, mlp_probe])
def test_separable_is_perfect_and_noise_is_chance(probe):
    train, test = blobs(80, seed=0), blobs(40, seed=1)
    assert probe(*train, *test) == 1.0
    rng = np.random.default_rng(2)
    noise = rng.normal(size=(400, 6)), rng.normal(size=(400, 6))
    labels = np.arange(400) % 4
    # Four deviations of a fair four-sided die thrown 400 times.
    assert abs(probe(noise[0], labels, noise[1], labels) - 0.25) < 4 * np.sqrt(0.25 * 0.75 / 400)


@pytest.mark.parametrize("probe", [linear_probe, knn_accuracy, mlp_probe])
def test_twice_is_identical_and_labels_may_be_text(probe):
    (train_x, train_y), (test_x, test_y) = blobs(60, spread=2.0), blobs(60, spread=2.0, seed=1)
    first = probe(train_x, train_y, test_x, test_y)
    assert 0.3 < first < 1.0
    assert probe(train_x, train_y, test_x, test_y) == first
    names = np.array(["run", "jump", "swim", "turn"])
    assert isinstance(probe(train_x, names[train_y], test_x, names[test_y]), float)


def test_linear_probe_ignores_offset_and_scale_of_each_feature():
    (train_x, train_y), (test_x, test_y) = blobs(80), blobs(40, seed=1)
    scale, offset = 10.0 ** np.arange(-3, 3), 50.0
    assert linear_probe(scale * train_x + offset, train_y, scale * test_x + offset, test_y) == 1.0


def test_linear_probe_with_one_sample_per_class():
    """Without a warning that this many classes look like numbers."""
    for classes in (3, 30):
        labels, x = np.arange(classes), np.eye(classes)
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            assert linear_probe(x, labels, 2 * x, labels) == 1.0


def test_linear_probe_never_looks_at_the_test_labels():
    (train_x, train_y), (test_x, _) = blobs(60, spread=2.0), blobs(60, spread=2.0, seed=1)
    shares = [linear_probe(train_x, train_y, test_x, np.full(60, label)) for label in range(4)]
    # The predictions do not depend on the labels, so each counts towards exactly one class.
    assert sum(shares) == pytest.approx(1.0)


@pytest.mark.parametrize("k, temperature", [(1, 0.07), (7, 0.07), (20, 1.0), (33, 0.5)])
def test_knn_equals_the_slow_loop(k, temperature):
    train, test = blobs(40, spread=2.5), blobs(24, spread=2.5, seed=1)
    fast = knn_accuracy(*train, *test, k=k, temperature=temperature)
    assert fast == slow_knn(*train, *test, k, temperature)


def test_knn_with_more_neighbors_than_samples_uses_all():
    train, test = blobs(12, spread=2.0), blobs(30, spread=2.0, seed=1)
    assert knn_accuracy(*train, *test, k=500) == knn_accuracy(*train, *test, k=12)


def test_knn_survives_many_rows_tiny_temperatures_and_extreme_lengths():
    (train_x, train_y), (test_x, test_y) = blobs(40), blobs(2100, seed=1)
    test_x = test_x * np.logspace(-200, 200, 2100)[:, None]
    assert knn_accuracy(train_x, train_y, test_x, test_y, temperature=1e-4) == 1.0
    assert knn_accuracy(train_x, train_y, np.zeros((4, 6)), np.arange(4)) == 0.25


@pytest.mark.parametrize("bad", [{"k": 0}, {"temperature": 0.0}, {"temperature": float("nan")}])
def test_knn_arguments(bad):
    with pytest.raises(ValueError, match=f"{next(iter(bad))} must be .*Received:"):
        knn_accuracy(*blobs(8), *blobs(8), **bad)


@pytest.mark.parametrize("probe", [linear_probe, knn_accuracy, mlp_probe])
def test_errors_of_the_probes(probe):
    x, y = blobs(8)
    with pytest.raises(ValueError, match=r"train_x must be a matrix .* Received: shape \(8,\)"):
        probe(x[:, 0], y, x, y)
    with pytest.raises(ValueError, match="Received: 6 and 5"):
        probe(x, y, x[:, :5], y)
    with pytest.raises(
        ValueError, match=r"test_y must hold one class .*\(8,\). Received: shape \(7,\)"
    ):
        probe(x, y, x, y[:7])
    with pytest.raises(ValueError, match=r"at least two classes in train. Received: \[0\] alone"):
        probe(x, 0 * y, x, 0 * y)
    with pytest.raises(ValueError, match=r"must occur in train. Received: \[9\] in test only"):
        probe(x, y, x, np.where(y == 1, 9, y))
    broken = x.copy()
    broken[3, 1] = np.nan
    with pytest.raises(
        ValueError, match="test_x must be finite. .* in 1 of 8 rows, first in row 3"
    ):
        probe(x, y, broken, y)


def split(seed, count=80):
    """Features whose part "static" knows the shape, whose "dynamic" knows the motion, and noise."""
    rng = np.random.default_rng(seed)
    shape, motion = rng.permutation(np.arange(count) % 4), rng.permutation(np.arange(count) % 2)
    features = {
        "pooled": rng.normal(size=(count, 3)),
        "static": np.eye(4)[shape] + 0.1 * rng.normal(size=(count, 4)),
        "dynamic": np.eye(2)[motion] + 0.1 * rng.normal(size=(count, 2)),
    }
    return features, {"shape": shape, "motion": motion}


def test_factor_probes_find_where_each_factor_is():
    result = factor_probes(split(0), split(1))
    assert set(result) == {"shape", "motion"}
    assert set(result["shape"]) == {"pooled", "static", "dynamic", "chance", "best"}
    assert result["shape"]["best"] == {"part": "static", "linear": 1.0}
    assert result["motion"]["best"] == {"part": "dynamic", "linear": 1.0}
    assert result["shape"]["static"] == {"linear": 1.0, "knn": 1.0}
    assert (result["shape"]["chance"], result["motion"]["chance"]) == (0.25, 0.5)
    assert result["motion"]["static"]["linear"] < 0.75
    assert factor_probes(split(0), split(1)) == result


def test_chance_is_the_best_constant_answer():
    features, _ = split(0, count=10)
    labels = {"rare": np.array([0] * 7 + [1] * 3)}
    assert factor_probes((features, labels), (features, labels))["rare"]["chance"] == 0.7


def test_errors_of_the_factor_probes():
    (features, labels), test = split(0), split(1)
    without = {"shape": test[1]["shape"]}
    with pytest.raises(
        ValueError, match=r"same factors.*\['shape', 'motion'\] in train and \['shape'\]"
    ):
        factor_probes((features, labels), (test[0], without))
    with pytest.raises(ValueError, match="same parts, at least one. Received:"):
        factor_probes((features, labels), ({"pooled": test[0]["pooled"]}, test[1]))
    with pytest.raises(
        ValueError, match=r"factor 'motion': every class .* Received: \[5\] in test only"
    ):
        factor_probes((features, labels), (test[0], {**test[1], "motion": test[1]["motion"] * 5}))
    with pytest.raises(ValueError, match="factor 'shape' must have at least two classes"):
        factor_probes((features, {**labels, "shape": 0 * labels["shape"]}), test)
    with pytest.raises(ValueError, match=r"factor 'shape' of test must hold one class .*\(79,\)"):
        factor_probes((features, labels), (test[0], {**test[1], "shape": np.arange(79)}))
    test[0]["dynamic"][4] = np.inf
    with pytest.raises(ValueError, match="part 'dynamic' of test must be finite.*first in row 4"):
        factor_probes((features, labels), test)


def test_a_quarter_of_each_class_is_held_out():
    labels = np.repeat(list("abcde"), [1, 2, 3, 8, 21])
    masks = [held_out_mask(labels, seed) for seed in (0, 0, 1)]
    for mask in masks:
        assert [int(mask[labels == label].sum()) for label in "abcde"] == [0, 1, 1, 2, 5]
    assert (masks[0] == masks[1]).all() and (masks[0] != masks[2]).any()


def test_the_choice_is_the_one_that_answers_best_on_what_is_held_out():
    x, y = np.arange(40.0)[:, None], np.repeat([0, 1], 20)
    asked = []

    def answers(choice, train_x, train_y, test_x):
        asked.append((choice, len(train_x), len(train_y), len(test_x)))
        return (test_x[:, 0] >= choice).astype(int)

    assert choose((5, 20), None, answers, x, y, seed=0) == 20  # of two
    assert choose((30, 19.5, 20), None, answers, x, y, seed=0) == 19.5  # the first of equals
    assert all(sizes == [30, 30, 10] for _, *sizes in asked)
    asked.clear()
    assert choose((20,), "usual", answers, x, y, seed=0) == "usual"
    assert choose((5, 20), "usual", answers, x[19:21], y[19:21], seed=0) == "usual"
    assert not asked


@pytest.mark.parametrize(
    ("probe", "kind", "settings", "choices", "usual"),
    [
        (
            linear_probe,
            linear_model.LogisticRegression,
            ["C"],
            [[10.0**n] for n in range(-3, 2)],
            3,
        ),
        (
            mlp_probe,
            neural_network.MLPClassifier,
            ["hidden_layer_sizes", "alpha"],
            [[(32,), 10.0], [(128,), 10.0], [(128,), 0.1]],
            0,
        ),
    ],
)
def test_what_is_chosen_from(probe, kind, settings, choices, usual, monkeypatch):
    """Every choice is fitted, then one of them again; without two samples of a class the usual one alone."""
    fitted, fit = [], kind.fit

    def recorded(classifier, x, y):
        fitted.append([getattr(classifier, name) for name in settings])
        return fit(classifier, x, y)

    monkeypatch.setattr(kind, "fit", recorded)
    x, y = blobs(40)
    probe(x, y, x, y)
    assert fitted[:-1] == choices and fitted[-1] in choices
    fitted.clear()
    probe(x[:4], y[:4], x, y)
    assert fitted == [choices[usual]]
    for function in (probe, linear_scores):
        assert inspect.signature(function).parameters["seed"].default == 0
