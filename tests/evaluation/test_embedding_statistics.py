"""Embedding statistics: against loops over pairs of clips, closed forms, and what counts as a collapse."""

import numpy as np
import pytest

from bod_keras.evaluation import embedding_statistics


def random_views(videos=5, width=7, views=3, seed=0):
    return list(np.random.default_rng(seed).normal(size=(views, videos, width)))


def slow_statistics(views):
    """One pair of clips after the other; the rank from the eigenvalues of the smaller Gram matrix."""
    unit = [[x / np.linalg.norm(x) for x in view] for view in views]
    clips = [(i, x) for view in unit for i, x in enumerate(view)]
    positive, negative = [], []
    for a, (i, x) in enumerate(clips):
        for b, (j, y) in enumerate(clips):
            if a != b:
                (positive if i == j else negative).append((x, y))
    matrix = np.array([x for _, x in clips])
    gram = matrix @ matrix.T if len(matrix) < matrix.shape[1] else matrix.T @ matrix
    values = np.sqrt(np.linalg.eigvalsh(gram))
    entropy = -sum(s / values.sum() * np.log(s / values.sum()) for s in values)
    return {
        "positive_similarity": np.mean([np.sum(x * y) for x, y in positive]),
        "negative_similarity": np.mean([np.sum(x * y) for x, y in negative]),
        "alignment": np.mean([np.sum((x - y) ** 2) for x, y in positive]),
        "uniformity": np.log(np.mean([np.exp(-2 * np.sum((x - y) ** 2)) for x, y in negative])),
        "effective_rank": np.exp(entropy),
    }


@pytest.mark.parametrize(("videos", "width", "views"), [(5, 7, 3), (2, 40, 2), (12, 3, 2)])
def test_equal_to_loops_over_pairs(videos, width, views):
    views = random_views(videos, width, views)
    expected = slow_statistics(views)
    assert embedding_statistics(views) == pytest.approx(expected, rel=1e-9, abs=1e-12)
    shrunk = [view * 1e-3 for view in views]
    assert embedding_statistics(shrunk) == pytest.approx(expected, rel=1e-9, abs=1e-12)
    assert all(type(value) is float for value in embedding_statistics(views).values())


def values(views):
    statistics = embedding_statistics(views)
    return [round(statistics[name], 6) + 0.0 for name in statistics]


def test_closed_forms():
    apart, point = np.eye(6), np.ones((6, 4))
    assert values([apart, apart]) == [1, 0, 0, -4, 6]
    assert values([point, point]) == [1, 1, 0, 0, 1]
    opposite = np.array([[2.0, 0.0], [-3.0, 0.0]])  # a line through the origin
    assert values([opposite, opposite]) == [1, -1, 0, -8, 1]
    assert values([opposite, -opposite]) == [-1, 0, 4, round(np.log((1 + np.exp(-8)) / 2), 6), 1]
    angle = np.linspace(0, 2 * np.pi, 9)[:-1]  # a whole circle
    circle = np.stack([np.cos(angle), np.sin(angle), 0 * angle], axis=1)
    assert values([circle, circle])[-1] == 2
    assert values([0 * point, 0 * point]) == [0, 0, 0, 0, 1]


def test_alignment_is_twice_what_is_missing_in_the_positive_similarity():
    statistics = embedding_statistics(random_views())
    assert statistics["alignment"] == pytest.approx(2 - 2 * statistics["positive_similarity"])


def test_rounding_noise_around_a_point_is_no_rank():
    """A collapsed network in float32 differs from clip to clip by rounding, in every direction."""
    noise = [1 + 1e-6 * view for view in random_views(32, 64, 2)]
    assert embedding_statistics(noise)["effective_rank"] < 1.001
    cone = [1 + 0.2 * view for view in random_views(32, 64, 2)]  # narrow, but full of information
    assert embedding_statistics(cone)["negative_similarity"] > 0.9
    assert embedding_statistics(cone)["effective_rank"] > 5


@pytest.mark.parametrize(
    ("views", "message"),
    [
        (random_views(views=1), r"at least two arrays .* Received: shapes \[\(5, 7\)\]"),
        (
            random_views(videos=1),
            r"B at least 2. Received: shapes \[\(1, 7\), \(1, 7\), \(1, 7\)\]",
        ),
        ([np.ones((3, 2)), np.ones((4, 2))], r"Received: shapes \[\(3, 2\), \(4, 2\)\]"),
        ([], r"Received: shapes \[\]"),
        ([np.ones(3), np.ones(3)], r"views\[0\] must be a matrix"),
        ([np.ones((3, 2)), np.full((3, 2), np.nan)], r"views\[1\] must be finite"),
    ],
)
def test_errors(views, message):
    with pytest.raises(ValueError, match=message):
        embedding_statistics(views)
