"""What `make test` runs, and what only `make test-all` does: the tests marked `slow`."""

import itertools

import pytest

slow = pytest.mark.slow


def slow_unless(condition):
    """A test of the first tier only where `condition` holds, as on one backend of three."""
    return pytest.mark.skipif(False, reason="it is not slow") if condition else slow


def pairwise(names, *axes, ids=None):
    """Parametrize with every combination, of which those that cover all pairs of values are not slow.

    Args:
        names: The names of the arguments, separated by commas.
        axes: For each name the list of its values.
        ids: As pytest's.
    """
    cases = list(itertools.product(*map(enumerate, axes)))
    covering = set(_cover(tuple(index for index, _ in case) for case in cases))
    params = [
        pytest.param(
            *(value for _, value in case),
            marks=() if tuple(index for index, _ in case) in covering else slow,
        )
        for case in cases
    ]
    return pytest.mark.parametrize(names, params, ids=ids)


def _cover(cases):
    """Greedily, the case with the most pairs that none before it had."""
    pairs = {case: set(itertools.combinations(enumerate(case), 2)) for case in cases}
    missing = set().union(*pairs.values())
    while missing:
        best = max(pairs, key=lambda case: len(pairs[case] & missing))
        missing -= pairs[best]
        yield best
