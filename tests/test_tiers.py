"""`pairwise` leaves every value of an argument with every value of each other one in the first tier."""

import itertools

from tests.tiers import pairwise, slow_unless


def test_every_pair_is_in_the_first_tier_and_every_combination_in_all():
    axes = ["ab", "cde", "fg", "hij"]
    cases = pairwise("p, q, r, s", *axes).mark.args[1]
    assert {case.values for case in cases} == set(itertools.product(*axes))
    fast = [case.values for case in cases if not case.marks]
    for i, j in itertools.combinations(range(4), 2):
        assert {(v[i], v[j]) for v in fast} == set(itertools.product(axes[i], axes[j]))
    assert len(fast) < 13 and len(cases) == 36


def test_what_is_fast_on_one_backend_only():
    assert slow_unless(False).name == "slow" and slow_unless(True).name != "slow"
