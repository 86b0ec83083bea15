"""Which views of a video are compared, for any number of views (rho)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from bod_keras.errors import UserError


def adjacent_pairs(views: int) -> list[tuple[int, int]]:
    """(0, 1), (1, 2), ...: the pairing of rho-SimCLR and rho-SwAV."""
    _check(views)
    return [(i, i + 1) for i in range(views - 1)]


def all_pairs(views: int) -> list[tuple[int, int]]:
    """Every i < j."""
    _check(views)
    return [(i, j) for i in range(views) for j in range(i + 1, views)]


def ordered_pairs(views: int) -> list[tuple[int, int]]:
    """Every i != j, as query and target: the pairing of rho-MoCo and rho-BYOL."""
    _check(views)
    return [(i, j) for i in range(views) for j in range(views) if i != j]


def mean_over(pairs: list[tuple[int, int]], loss: Callable[[int, int], Any]) -> Any:
    """Mean of ``loss(i, j)`` over the pairs."""
    return sum(loss(i, j) for i, j in pairs) / len(pairs)


def _check(views):
    if views < 2:
        raise UserError(
            "Contrastive learning compares at least 2 views of a video. "
            f"Received: {views} view a video. Set clips.views, or stack more clips on axis 1 of the batch."
        )
