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
        (lambda rng: even_views(5, 2, 0, 1), "stride=0"),
    ],
)
def test_wrong_arguments(call, message):
    with pytest.raises(ValueError, match=message):
        call(np.random.default_rng(0))
