from collections import Counter
from itertools import product

import numpy as np
import pytest

from bod_keras.data import clip_indices, clip_span, even_views, sample_rng, sample_views


def test_indices_step_by_the_stride():
    assert clip_indices(100, 4, 3, 10).tolist() == [10, 13, 16, 19]
    assert clip_span(4, 3) == 10


def test_short_videos_loop():
    assert clip_indices(3, 7, 1, 0).tolist() == [0, 1, 2, 0, 1, 2, 0]
    assert clip_indices(1, 2, 5, 0).tolist() == [0, 0]


def test_the_generator_is_a_function_of_the_triple():
    def draw(*key):
        return tuple(sample_rng(*key).integers(2**32, size=3))

    assert draw(1, 2, 3) == draw(1, 2, 3)
    assert len({draw(*key) for key in product(range(3), repeat=3)}) == 27


def test_starts_without_gap_are_uniform_and_independent():
    rng = np.random.default_rng(0)
    counts = Counter()
    draws = 20000
    for _ in range(draws):
        views = sample_views(7, 3, 2, views=2, rng=rng)  # starts 0, 1, 2
        counts[tuple(views[:, 0].tolist())] += 1
    assert set(counts) == set(product(range(3), repeat=2))
    expected = draws / 9
    for count in counts.values():
        assert abs(count - expected) < 4.5 * np.sqrt(expected)


@pytest.mark.parametrize("views, starts, gap", [(2, 8, 3), (2, 6, 1), (3, 9, 3)])
def test_starts_with_gap_are_uniform_over_all_valid_tuples(views, starts, gap):
    valid = [
        tuple_
        for tuple_ in product(range(starts), repeat=views)
        if all(abs(a - b) >= gap for i, a in enumerate(tuple_) for b in tuple_[:i])
    ]
    rng = np.random.default_rng(1)
    draws = 400 * len(valid)
    counts = Counter(
        tuple(sample_views(starts + 3, 4, 1, views, rng, gap)[:, 0].tolist()) for _ in range(draws)
    )
    assert set(counts) == set(valid)
    chi2 = sum((count - 400) ** 2 / 400 for count in counts.values())
    freedom = len(valid) - 1
    assert chi2 < freedom + 5 * np.sqrt(2 * freedom)


def test_a_gap_too_wide_becomes_the_widest_possible():
    rng = np.random.default_rng(2)
    starts = {
        tuple(sorted(sample_views(20, 8, 1, 2, rng, min_gap=50)[:, 0].tolist())) for _ in range(20)
    }
    assert starts == {(0, 12)}
    assert sample_views(5, 8, 1, 2, rng, min_gap=4)[:, 0].tolist() == [0, 0]


def test_even_views():
    assert even_views(100, 10, 1, 1)[0, 0] == 45
    assert even_views(100, 10, 1, 4)[:, 0].tolist() == [0, 30, 60, 90]
    assert even_views(4, 10, 1, 2)[:, 0].tolist() == [0, 0]


@pytest.mark.parametrize(
    "call, message",
    [
        (lambda rng: clip_indices(0, 2, 1, 0), "num_frames.*Received: num_frames=0"),
        (lambda rng: clip_indices(5, 0, 1, 0), "Received: frames=0, stride=1"),
        (lambda rng: clip_indices(5, 2, 1, 5), "0 to 4. Received: start=5"),
        (lambda rng: sample_views(5, 2, 1, 0, rng), "Received: views=0"),
        (lambda rng: sample_views(5, 2, 1, 2, rng, -1), "Received: min_gap=-1"),
        (lambda rng: even_views(5, 2, 0, 1), "stride=0"),
    ],
)
def test_wrong_arguments(call, message):
    with pytest.raises(ValueError, match=message):
        call(np.random.default_rng(0))


def test_distances_of_the_decreasing_law_have_its_histogram():
    """Density 2/S (1 - k/S) on [0, S), rounded down: P(d) = (2 (S - d) - 1) / S^2."""
    starts, draws = 6, 40000
    rng = np.random.default_rng(0)
    pairs = Counter(
        tuple(sample_views(starts + 3, 4, 1, 2, rng, gap_law="decreasing")[:, 0].tolist())
        for _ in range(draws)
    )
    for distance in range(starts):
        probability = (2 * (starts - distance) - 1) / starts**2
        places = [(a, a + distance) for a in range(starts - distance)]
        ordered = places + [pair[::-1] for pair in places] if distance else places
        expected = draws * probability / len(ordered)  # every place and both orders alike
        for pair in ordered:
            assert abs(pairs[pair] - expected) < 5 * np.sqrt(expected)
    assert sum(pairs.values()) == draws


def test_the_decreasing_law_of_a_short_video():
    rng = np.random.default_rng(0)
    assert sample_views(4, 4, 1, 2, rng, gap_law="decreasing")[:, 0].tolist() == [0, 0]
    assert sample_views(2, 4, 1, 2, rng, gap_law="decreasing")[:, 0].tolist() == [0, 0]


@pytest.mark.parametrize(
    "views, min_gap, law, message",
    [
        (2, 0, "linear", r"gap_law must be one of \('uniform', 'decreasing'\). Received: 'linear'"),
        (3, 0, "decreasing", "law of two views.*Received: views=3, min_gap=0"),
        (2, 4, "decreasing", "law of two views.*Received: views=2, min_gap=4"),
    ],
)
def test_wrong_laws(views, min_gap, law, message):
    with pytest.raises(ValueError, match=message):
        sample_views(40, 4, 1, views, np.random.default_rng(0), min_gap, law)
